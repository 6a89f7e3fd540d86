"""Box prediction: a constant-velocity Kalman filter over all tracks at once, in seconds.

The state of a track is the box (cx, cy, w, h) and its velocity, as in BoT-SORT (Aharon et al. 2022, eq. 1), with noise
proportional to the size of the box. The four coordinates are not coupled, so there are four independent filters with
two numbers each; NumPy computes them for all tracks in a few operations, without matrix products. Process noise is
continuous white acceleration (Bar-Shalom, Li, Kirubarajan 2001, sec. 6.2.2): predicting over a + b seconds equals
predicting over a and then over b, so irregular frame intervals need no special case.

States are float64 [n, 20] in five groups of (cx, cy, w, h): box, velocity, variance of the box, covariance of box and
velocity, variance of the velocity. Times in seconds, boxes in px. All functions are pure.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]

BOX, VELOCITY = slice(0, 4), slice(4, 8)
_BOX_VARIANCE, _COVARIANCE, _VELOCITY_VARIANCE = slice(8, 12), slice(12, 16), slice(16, 20)
WIDTH = 20

_SIZE_OF = np.array([2, 3, 2, 3])
"""Column whose value scales each coordinate's noise: width for cx and w, height for cy and h."""
_MEASUREMENT = np.square([0.15, 0.15, 0.15, 0.15])
"""Variance of the box of a detection with score 0.7, in sizes²: a standard deviation of 15 %. Boxes of coarse detectors
are that wrong; a smaller value takes their noise for speed, and predictions run away."""
_SURE_SCORE, _LEAST_NOISE, _MOST_NOISE = 0.7, 0.5, 3.0
"""The variance is proportional to 1 − score, within these factors of that at `_SURE_SCORE` (NSA Kalman filter, Du et
al. 2021): a doubtful box, often that of a half-hidden object, hardly moves the state."""
_FIRST_VELOCITY = np.square([2.0, 2.0, 0.5, 0.5])
"""Variance of the velocity of a track seen once, in (sizes/s)²."""
_ACCELERATION = np.array([1.0, 1.0, 0.2, 0.2])
"""Spectral density of the acceleration, in sizes²/s³."""
_STOPS = 1.0
"""Time constant (s) with which the velocity of an object that is not observed for long decays: it is expected to stop
there."""
_LEAST_SIZE = 1.0
"""Least width and height (px) used to scale noise, so that no variance is zero."""


def widened(boxes: Rows, share: float) -> Rows:
    """Returns boxes (cx, cy, w, h) with each side moved out by `share` of the size."""
    wide = boxes.copy()
    wide[:, 2:] *= 1 + 2 * share
    return wide


def begin(boxes: Rows) -> Rows:
    """Returns the states of objects first seen at `boxes` (cx, cy, w, h) [n, 4], with zero velocity."""
    scale = _squared_sizes(boxes)
    states = np.zeros((len(boxes), WIDTH))
    states[:, BOX] = boxes
    states[:, _BOX_VARIANCE] = _MEASUREMENT * scale
    states[:, _VELOCITY_VARIANCE] = _FIRST_VELOCITY * scale
    return states


def predict(states: Rows, elapsed: Rows) -> Rows:
    """Returns boxes (cx, cy, w, h) [n, 4] `elapsed` [n] seconds after the states; negative means before.

    Width and height shrink to half at most, so that an object leaving the frame never has a negative size.
    """
    boxes: Rows = states[:, BOX] + states[:, VELOCITY] * elapsed[:, None]
    np.maximum(boxes[:, 2:], states[:, 2:4] / 2, out=boxes[:, 2:])
    return boxes


def observe(states: Rows, elapsed: Rows, boxes: Rows, scores: Rows) -> Rows:
    """Updates states [n, 20] with `boxes` [n, 4] (cx, cy, w, h) and `scores` [n] 0-1, observed `elapsed` [n] ≥ 0
    seconds later."""
    time = elapsed[:, None]
    scale = _squared_sizes(boxes)
    noise = _ACCELERATION * scale * time
    velocity, covariance = states[:, VELOCITY], states[:, _COVARIANCE]
    velocity_variance = states[:, _VELOCITY_VARIANCE] + noise
    box = states[:, BOX] + velocity * time
    variance = states[:, _BOX_VARIANCE] + time * (2 * covariance + time * (velocity_variance - noise * (2 / 3)))
    covariance = covariance + time * (velocity_variance - noise / 2)

    doubt = np.clip((1 - scores) / (1 - _SURE_SCORE), _LEAST_NOISE, _MOST_NOISE)
    total = variance + _MEASUREMENT * scale * doubt[:, None]
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


def advance(states: Rows, elapsed: Rows) -> Rows:
    """Returns the states `elapsed` [n] ≥ 0 seconds later, without an observation: less certain, and slowing down."""
    time, scale = elapsed[:, None], _squared_sizes(states[:, BOX])
    noise, slower = _ACCELERATION * scale * time, np.exp(-time / _STOPS)
    after = states.copy()
    after[:, BOX] = predict(states, elapsed)
    after[:, VELOCITY] *= slower
    velocity_variance = states[:, _VELOCITY_VARIANCE] + noise
    growth = 2 * states[:, _COVARIANCE] + time * (velocity_variance - noise * (2 / 3))
    after[:, _BOX_VARIANCE] += time * growth
    after[:, _COVARIANCE] = slower * (states[:, _COVARIANCE] + time * (velocity_variance - noise / 2))
    after[:, _VELOCITY_VARIANCE] = slower * slower * velocity_variance
    return after


def deviation(states: Rows, elapsed: Rows) -> Rows:
    """Returns the standard deviation of the predicted centres [n, 2], in widths and heights."""
    time, scale = elapsed[:, None], _squared_sizes(states[:, BOX])
    velocity_variance = states[:, _VELOCITY_VARIANCE] + _ACCELERATION * scale * (time / 3)
    variance = states[:, _BOX_VARIANCE] + time * (2 * states[:, _COVARIANCE] + time * velocity_variance)
    spread: Rows = np.sqrt(np.maximum(variance / scale, 0))
    return spread[:, :2]


def moved(states: Rows, transform: Rows) -> Rows:
    """Returns the states as seen after the camera moved by `transform` [2, 3], a similarity: points of the earlier view
    are at `transform[:, :2] @ point + transform[:, 2]` of the later."""
    turn = transform[:, :2]
    scale = float(np.sqrt(abs(np.linalg.det(turn))))
    after: Rows = states * np.repeat([scale, scale, scale**2, scale**2, scale**2], 4)
    after[:, :2] = states[:, :2] @ turn.T + transform[:, 2]
    after[:, 4:6] = states[:, 4:6] @ turn.T
    return after


def _squared_sizes(boxes: Rows) -> Rows:
    sizes: Rows = np.maximum(boxes[:, _SIZE_OF], _LEAST_SIZE)
    return sizes * sizes
