"""Where a box will be: a constant-velocity Kalman filter over all tracks at once, in seconds.

The state of a track is the box (cx, cy, w, h) and its velocity, as in BoT-SORT (Aharon et al. 2022, eq. 1), with noise
in proportion to the box's size. Nothing couples the four coordinates, so the filter is four independent ones of
two numbers each, which NumPy computes for every track in a handful of operations and without matrix products.
Process noise is continuous white acceleration (Bar-Shalom, Li, Kirubarajan 2001, sec. 6.2.2): predicting over
a + b seconds is the same as over a and then over b, so irregular frames need no special case.

States are float64 [n, 20] in five groups of (cx, cy, w, h): box, velocity, and the variances of box, of box with
velocity, and of velocity. Times in seconds, boxes in px. All functions are pure.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]

BOX, VELOCITY = slice(0, 4), slice(4, 8)
_BOX_VARIANCE, _COVARIANCE, _VELOCITY_VARIANCE = slice(8, 12), slice(12, 16), slice(16, 20)
WIDTH = 20

_SIZE_OF = np.array([2, 3, 2, 3])
"""The coordinate that each one's noise is in proportion to: width for cx and w, height for cy and h."""
_MEASUREMENT = np.square([0.05, 0.05, 0.05, 0.05])
"""Variance of a detector's box, in sizes²: 5 % of the box (BoT-SORT's 1/20)."""
_FIRST_VELOCITY = np.square([2.0, 2.0, 0.5, 0.5])
"""Variance of the velocity of a track seen once, in (sizes/s)²."""
_ACCELERATION = np.array([4.0, 4.0, 0.2, 0.2])
"""Spectral density of the acceleration, in sizes²/s³."""
_LEAST_SIZE = 1.0
"""Boxes are taken for at least this wide and high (px) when noise is scaled, so that no variance is zero."""


def widened(boxes: Rows, share: float) -> Rows:
    """Boxes (cx, cy, w, h) with each side moved out by `share` of the size."""
    wide = boxes.copy()
    wide[:, 2:] *= 1 + 2 * share
    return wide


def begin(boxes: Rows) -> Rows:
    """States of objects seen for the first time, at (cx, cy, w, h) [n, 4], at rest."""
    scale = _squared_sizes(boxes)
    states = np.zeros((len(boxes), WIDTH))
    states[:, BOX] = boxes
    states[:, _BOX_VARIANCE] = _MEASUREMENT * scale
    states[:, _VELOCITY_VARIANCE] = _FIRST_VELOCITY * scale
    return states


def predict(states: Rows, elapsed: Rows) -> Rows:
    """Boxes (cx, cy, w, h) [n, 4] `elapsed` [n] seconds after the states; negative is before.

    A box shrinks to half its size at most: an object that leaves the picture has no negative width.
    """
    boxes: Rows = states[:, BOX] + states[:, VELOCITY] * elapsed[:, None]
    np.maximum(boxes[:, 2:], states[:, 2:4] / 2, out=boxes[:, 2:])
    return boxes


def observe(states: Rows, elapsed: Rows, boxes: Rows) -> Rows:
    """States [n, 20] after each was seen as `boxes` [n, 4] (cx, cy, w, h), `elapsed` [n] ≥ 0 seconds later."""
    time = elapsed[:, None]
    scale = _squared_sizes(boxes)
    noise = _ACCELERATION * scale * time
    velocity, covariance = states[:, VELOCITY], states[:, _COVARIANCE]
    velocity_variance = states[:, _VELOCITY_VARIANCE] + noise
    box = states[:, BOX] + velocity * time
    variance = states[:, _BOX_VARIANCE] + time * (2 * covariance + time * (velocity_variance - noise * (2 / 3)))
    covariance = covariance + time * (velocity_variance - noise / 2)

    total = variance + _MEASUREMENT * scale
    gain, velocity_gain = variance / total, covariance / total
    surprise = boxes - box
    kept = 1 - gain
    seen = np.empty_like(states)
    seen[:, BOX] = box + gain * surprise
    seen[:, VELOCITY] = velocity + velocity_gain * surprise
    seen[:, _BOX_VARIANCE] = kept * variance
    seen[:, _COVARIANCE] = kept * covariance
    seen[:, _VELOCITY_VARIANCE] = velocity_variance - velocity_gain * covariance
    return seen


def _squared_sizes(boxes: Rows) -> Rows:
    sizes: Rows = np.maximum(boxes[:, _SIZE_OF], _LEAST_SIZE)
    return sizes * sizes
