"""The result that says what was active on a frame and how much of it the model looked at; draws it into the video."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

from sightd.plugins.activity.cells import Mask
from sightd.plugins.api import Canvas, Count, CounterSpec, Frame

_COLOUR = np.array((0, 60, 255), np.uint8)
"""Blue, green, red."""


@dataclass(frozen=True, slots=True, eq=False)
class Activity:
    """The map of one frame: cells bool [rows, columns], true where the picture has changed since the last look; `cell`
    is their side in px of the frame. `runs`: runs of the model on this frame. `partly`: it saw only parts of the frame.
    """

    cells: Mask
    cell: int
    runs: int
    partly: bool

    metrics: ClassVar[tuple[CounterSpec, ...]] = (
        CounterSpec(
            "look_analyses",
            "Analysed frames by what the model looked at: the whole frame, parts of it, or nothing (saved by the "
            "activity gate or by the budget).",
            "at",
            ("frame", "parts", "nothing"),
        ),
        CounterSpec("look_runs", "Runs of the model on analysed frames; several parts share a run."),
        CounterSpec("active_cells", "Cells of the activity map that were active on analysed frames."),
    )

    @property
    def looked_at(self) -> str:
        if not self.runs:
            return "nothing"
        return "parts" if self.partly else "frame"

    def counts(self) -> Iterator[Count]:
        yield Count("look_analyses", self.looked_at)
        yield Count("look_runs", number=self.runs)
        yield Count("active_cells", number=int(np.count_nonzero(self.cells)))


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
