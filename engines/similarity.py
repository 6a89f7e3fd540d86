"""Similarity transform (rotation, scale, translation; no reflection) that aligns five face landmarks with a
template."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ARCFACE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float64
)
"""Right eye, left eye, nose, right and left corner of the mouth (left to right in the image), in pixels of a 112 x 112
crop. The template that ArcFace and SFace were trained with (Deng et al. 2019, arXiv 1801.07698).
"""
ARCFACE.flags.writeable = False


def similarity(points: NDArray[np.floating], template: NDArray[np.floating]) -> NDArray[np.float64]:
    """Returns the 2 x 3 matrix that maps `points` [n, 2] to `template` [n, 2] with the least squared error.

    Umeyama 1991, "Least-squares estimation of transformation parameters between two point patterns"; in two dimensions
    the optimal rotation has a closed form. Raises ValueError if the points coincide or are not finite.
    """
    source, target = np.asarray(points, np.float64), np.asarray(template, np.float64)
    if not np.isfinite(source).all():
        raise ValueError(f"the points {source.tolist()} define no transform: they are not finite")
    from_centre, to_centre = source.mean(axis=0), target.mean(axis=0)
    p, q = source - from_centre, target - to_centre
    spread = float((p * p).sum())
    if not spread > 1e-12:
        raise ValueError(f"the points {source.tolist()} define no transform: they coincide")
    cosine = float((p * q).sum()) / spread
    sine = float((p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]).sum()) / spread
    turn = np.array([[cosine, -sine], [sine, cosine]])
    return np.column_stack((turn, to_centre - turn @ from_centre))


def inverse(transform: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the inverse transform, [2, 3]. Raises ValueError if there is none."""
    try:
        turn = np.linalg.inv(transform[:, :2])
    except np.linalg.LinAlgError:
        raise ValueError("the transform maps everything to one point and cannot be inverted") from None
    return np.column_stack((turn, -turn @ transform[:, 2]))
