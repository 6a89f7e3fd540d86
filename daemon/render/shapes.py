"""Draws shapes of objects: masks as translucent areas with an outline, skeletons with their joints, oriented boxes."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sightd.daemon.render.canvas import OutputCanvas
from sightd.daemon.render.text import Sprite
from sightd.daemon.render.theme import Colour, shade
from sightd.plugins.api import BoolArray, FloatArray, Keypoints, Masks, OrientedBoxes

_FILL = 90
"""Alpha (0-255) of the area of a mask; its outline is opaque."""
_VISIBLE = 0.5
"""Least score of a keypoint that is drawn."""
_FAR = 1 << 20
"""Points beyond this many pixels are not drawn: they would not fit a drawn coordinate."""


def draw_mask(canvas: OutputCanvas, masks: Masks, row: int, colour: Colour) -> None:
    """Draws one mask, if the object has one on the frame."""
    drawn = masks.drawn(row, canvas.scale)
    if drawn is not None:
        canvas.sprite(area_of(drawn.inside, colour, canvas.layout.line), drawn.left, drawn.top)


def area_of(inside: BoolArray, colour: Colour, line: int) -> Sprite:
    """Returns a mask bool [height, width] as a sprite: a translucent area with an outline `line` pixels wide."""
    solid = inside.astype(np.uint8)
    cross = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * line + 1, 2 * line + 1))
    inner = cv2.erode(solid, cross, borderType=cv2.BORDER_CONSTANT, borderValue=(0,))
    alpha: NDArray[np.uint8] = np.asarray(255 * solid - (255 - _FILL) * inner, np.uint8)
    levels = np.arange(256)[:, None]
    paint = np.rint(levels * np.array(colour) / 255).astype(np.uint8)[alpha]
    keep = np.repeat((255 - alpha)[:, :, None], 3, axis=2)
    return Sprite(paint, keep, ((alpha, colour),))


def draw_keypoints(canvas: OutputCanvas, keypoints: Keypoints, row: int, colour: Colour) -> None:
    """Draws one object's skeleton and joints, as far as they are visible."""
    points = keypoints.points[row]
    near = (np.abs(points) < _FAR).all(axis=1)  # also False for what is not a number
    shown = near & (keypoints.scores[row] >= _VISIBLE)
    thickness = canvas.layout.accent
    for begin, end in keypoints.skeleton:
        if shown[begin] and shown[end]:
            line: FloatArray = points[[begin, end]]
            canvas.trail(line, colour, 1.0, thickness)
    for x, y in points[shown].tolist():
        canvas.joint((x, y), colour)


def draw_oriented(canvas: OutputCanvas, oriented: OrientedBoxes, row: int, colour: Colour) -> None:
    """Draws one oriented box as a line with a dark rim, as upright boxes have. One that reaches too far is skipped."""
    corners = oriented.corners[row]
    if not (np.abs(corners) < _FAR).all():  # also if a coordinate is not a number
        return
    outline: FloatArray = corners[[0, 1, 2, 3, 0]]
    line, halo = canvas.layout.line, canvas.layout.halo
    rim = line + 2 * halo if line > 1 else 1 + halo  # see `drawn_width`: the dark rim is `halo` pixels wide
    canvas.trail(outline, shade(colour), 1.0, rim)
    canvas.trail(outline, colour, 1.0, line)
