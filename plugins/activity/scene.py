"""What the image says about the camera: how it moved between two frames, and whether they show different scenes.

Camera motion is the similarity transform (shift, rotation, scale) of most image points, found on small copies of the
green channel as in BoT-SORT (Aharon et al. 2022, sec. 3.2): sparse optical flow (pyramidal Lucas-Kanade, Bouguet 2000)
and RANSAC. The flow starts at the shift that phase correlation finds, so fast pans are followed. While the camera
stands, the two copies are only compared. A cut is a view that correlates little with the one before it and that no
camera motion explains. Frames that were decoded on a GPU are not examined. All functions are pure and thread-safe.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sightd.engines.geometry import Boxes
from sightd.plugins.api import FloatArray, Frame, Image

Transform = NDArray[np.float64]
"""[2, 3] in px of the frame: a point (x, y) of the earlier frame is at `t[:, :2] @ (x, y) + t[:, 2]` of the later."""

_WIDTH = 320
"""Width in px of the grey copy, at most twice that."""
_GRID = (16, 9)
_STILL = 3.0
"""The camera stands if half of the grid's cells changed by at most this many grey levels on average."""
_POINTS, _LEAST_POINTS, _AGREEING = 150, 12, 0.35
"""Points that are followed; points and share of points that must agree on the transform."""
_COARSE, _CLEAR_PEAK = 4, 0.1
"""The first guess of the shift is made on copies smaller by this factor, and used if its peak is this clear (0-1)."""
_LEAST_SHIFT = 0.3
"""A transform that shifts no corner of the copy by more than this (px of the copy) is noise."""
_OTHER_SCENE = 0.3
"""Thumbs of different scenes correlate less than this: on a film with six cuts at most 0.29 up to 14 frames apart,
those of one scene at least 0.31 three frames apart."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A frame as far as it is compared: `grey` (its green channel) uint8 [h, w], `scale` px of the frame per px of it,
    and its `Frame.thumb`. Immutable."""

    grey: Image
    scale: float
    thumb: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """What happened to the camera between two frames: a cut, a motion, or (None) neither."""

    cut: bool = False
    motion: Transform | None = None


def view_of(frame: Frame) -> View | None:
    """Returns the view of a frame, or None if it is on a GPU."""
    thumb = frame.thumb()
    if thumb is None:
        return None
    image = frame.host()
    step = max(image.shape[1] // _WIDTH, 1)
    green = np.ascontiguousarray(image[::step, ::step, 1])
    return View(np.asarray(cv2.blur(green, (3, 3)), np.uint8), step, thumb)


def is_other_scene(before: FloatArray | None, after: FloatArray | None) -> bool:
    """Compares the thumbs of two frames (`Frame.thumb`) in a few µs. A uniform image, which says nothing, is no other
    scene; a fast pan may be taken for one."""
    if before is None or after is None or not before.any() or not after.any():
        return False
    return float(before @ after) < _OTHER_SCENE


def is_cut(before: View | None, after: View | None) -> bool:
    """Returns whether two frames show different scenes, which no motion of the camera explains. Costs a few µs if they
    are alike."""
    if before is None or after is None or not is_other_scene(before.thumb, after.thumb):
        return False
    return change(before, after, np.zeros((0, 4), np.float32)).cut


def change(before: View, after: View, boxes: Boxes) -> Change:
    """Compares two frames of the same size. `boxes` xyxy [n, 4] (px of the earlier frame) are moving objects, whose
    points are ignored."""
    if before.grey.shape != after.grey.shape or _stands(before.grey, after.grey):
        return Change()
    found = _similarity(before, after, boxes)
    if found is None:
        return Change(cut=is_other_scene(before.thumb, after.thumb))
    height, width = before.grey.shape
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]], np.float64)
    shift = corners @ found[:, :2].T + found[:, 2] - corners
    if np.abs(shift).max() <= _LEAST_SHIFT:
        return Change()
    found[:, 2] *= before.scale
    return Change(motion=found)


def _stands(before: Image, after: Image) -> bool:
    cells = cv2.resize(cv2.absdiff(before, after), _GRID, interpolation=cv2.INTER_AREA)
    return float(np.median(cells)) <= _STILL


def _similarity(before: View, after: View, boxes: Boxes) -> Transform | None:
    """Returns the transform in px of the grey copies, or None if too few points agree on one."""
    background = np.full(before.grey.shape, 255, np.uint8)
    for x1, y1, x2, y2 in (boxes / before.scale).astype(int).tolist():
        background[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)] = 0
    points = cv2.goodFeaturesToTrack(before.grey, _POINTS, 0.01, 7, mask=background)
    if points is None or len(points) < _LEAST_POINTS:
        return None
    guess = points + _shift(before.grey, after.grey)
    flags = cv2.OPTFLOW_USE_INITIAL_FLOW
    moved, found, _ = cv2.calcOpticalFlowPyrLK(
        before.grey, after.grey, points, guess, winSize=(15, 15), maxLevel=3, flags=flags
    )
    followed = found.ravel() > 0
    if int(followed.sum()) < _LEAST_POINTS:
        return None
    transform, inliers = cv2.estimateAffinePartial2D(points[followed], moved[followed], ransacReprojThreshold=1.5)
    if transform is None or int(inliers.sum()) < max(_LEAST_POINTS, _AGREEING * len(points)):
        return None
    return np.asarray(transform, np.float64)


def _shift(before: Image, after: Image) -> FloatArray:
    """Returns the shift (x, y) in px that aligns most of the two copies, to `_COARSE` px; zero if there is none."""
    size = (before.shape[1] // _COARSE, before.shape[0] // _COARSE)
    small = [cv2.resize(one, size, interpolation=cv2.INTER_AREA).astype(np.float32) for one in (before, after)]
    shift, response = cv2.phaseCorrelate(small[0], small[1], cv2.createHanningWindow(size, cv2.CV_32F))
    return np.array(shift if response >= _CLEAR_PEAK else (0, 0), np.float32) * _COARSE
