"""Signs that a frame is worth labelling, for what the present model does on it.

It is *uncertain* about an object, it *missed* one that it found just before and after, or the frame looks *new*
(Settles 2009, "Active Learning Literature Survey", section 3.1).
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from sightd.engines.geometry import iou
from sightd.plugins.api import BoolArray, FloatArray, Image, IntArray

_THUMBNAIL = (32, 18)
_DOUBT, _DOUBT_WIDTH = 0.4, 0.25
"""A score of 0.4 is the most doubtful, because it is about where objects begin to be drawn; one that differs by 0.25 is
not."""
_CLEAR, _FAINT, _SAME = 0.5, 0.25, 0.4


class Reason(StrEnum):
    """A detection is doubtful; an object that is clear on the frames before and after was not found; or the frame looks
    unlike those known before."""

    UNCERTAIN = "uncertain"
    MISSED = "missed"
    NEW = "new"


class Objects(NamedTuple):
    """What a model finds on a frame: boxes xyxy [n, 4], scores [n], classes [n]."""

    boxes: FloatArray
    scores: FloatArray
    classes: IntArray


def thumbnail(image: Image) -> NDArray[np.float32]:
    """Returns a small grey version of a BGR image, 0-1 [18, 32]."""
    grey = cv2.cvtColor(cv2.resize(image, _THUMBNAIL, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    return np.asarray(grey, np.float32) / np.float32(255)


def difference(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Returns the mean difference of two thumbnails, 0-1."""
    return float(np.abs(one - other).mean())


def uncertainty(scores: FloatArray) -> float:
    """Returns how doubtful the most doubtful score is: 1 at 0.4, 0 up to 0.15, from 0.65 on, and without scores."""
    return float(np.clip(1 - np.abs(scores - _DOUBT) / _DOUBT_WIDTH, 0, 1).max(initial=0))


def was_missed(before: Objects, here: Objects, after: Objects) -> bool:
    """Returns whether an object that is clear before and after, in about the same place, is not even faint here."""
    stays = _matches(before, after, _CLEAR)
    return bool((stays & ~_matches(before, here, _FAINT)).any())


def _matches(one: Objects, other: Objects, least: float) -> BoolArray:
    """Returns for each clear box of `one` whether `other` has one of its class there, with at least that score."""
    mine, theirs = one.scores >= _CLEAR, other.scores >= least
    overlap = iou(one.boxes[mine], other.boxes[theirs])
    overlap[one.classes[mine][:, None] != other.classes[theirs]] = 0
    found: BoolArray = overlap.max(axis=1, initial=0) >= _SAME
    return found
