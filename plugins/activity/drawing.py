"""Draws the activity map into the video."""

from __future__ import annotations

import cv2
import numpy as np

from sightd.plugins.activity.result import Activity
from sightd.plugins.api import Canvas, Frame

_COLOUR = np.array((0, 60, 255), np.uint8)
"""Blue, green, red."""


def draw_activity(canvas: Canvas, frame: Frame, activity: Activity) -> None:
    """Tints the active cells half red. Draws into the image itself, so an output on a GPU is downloaded."""
    if not activity.cells.any():
        return
    rows, columns = activity.cells.shape
    width, height = canvas.size
    across = min(round(columns * activity.cell * width / frame.width), width)
    down = min(round(rows * activity.cell * height / frame.height), height)
    cells = cv2.resize(activity.cells.view(np.uint8), (across, down), interpolation=cv2.INTER_NEAREST)
    shown = canvas.image[:down, :across]
    active = np.asarray(cells, np.uint8).view(np.bool_)
    shown[active] = shown[active] // 2 + _COLOUR // 2
