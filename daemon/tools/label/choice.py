"""Active choice: which frames of a film are worth labelling.

A frame is worth it for what the present model does on it (Settles 2009, "Active Learning Literature Survey", section
3.1): it is *uncertain* about an object, it *missed* one that it found just before and after, or the frame looks *new*.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from sightd.daemon.tools.label.finder import Found
from sightd.engines.geometry import iou
from sightd.plugins.api import Image

_THUMBNAIL = (32, 18)
_DOUBT, _DOUBT_WIDTH = 0.4, 0.25
"""A score of 0.4 is the most doubtful, because it is about where objects begin to be drawn; one that differs by 0.25 is
not."""
_CLEAR, _FAINT = 0.5, 0.25
_SAME = 0.4
_LEAST_NEW = 0.04
"""Least mean difference of the thumbnails, of 0-1, at which a frame looks new."""


class Reason(StrEnum):
    UNCERTAIN = "uncertain"
    MISSED = "missed"
    NEW = "new"


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A frame that may be chosen: its time in s, a thumbnail grey 0-1 [18, 32], and what the model finds on it."""

    time: float
    thumbnail: NDArray[np.float32]
    found: Found | None = None
    key: int = 0
    """What the caller finds the frame by."""


@dataclass(frozen=True, slots=True)
class Chosen:
    candidate: Candidate
    reason: Reason


@dataclass(frozen=True, slots=True)
class Budget:
    """At most `most` frames, at least `gap` s apart. Each reason may take at most half of them, so that one kind of
    frame does not crowd out the others."""

    most: int
    gap: float = 1.0


def thumbnail(image: Image) -> NDArray[np.float32]:
    """Returns a small grey version of a BGR image, 0-1 [18, 32]."""
    grey = cv2.cvtColor(cv2.resize(image, _THUMBNAIL, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    return np.asarray(grey, np.float32) / np.float32(255)


def choose(candidates: Sequence[Candidate], budget: Budget, known: Iterable[NDArray[np.float32]] = ()) -> list[Chosen]:
    """Returns the frames most worth labelling, in order of time. `candidates` are in order of time; `known` are the
    thumbnails of frames that the dataset already has."""
    selection = _Selection(budget, list(known))
    limit = max(1, budget.most // 2) if any(one.found for one in candidates) else budget.most
    doubtful = sorted(candidates, key=lambda one: -uncertainty(one.found))
    lost = [candidates[n] for n in _missing(candidates)]
    selection.take((one for one in doubtful if uncertainty(one.found) > 0), Reason.UNCERTAIN, limit)
    selection.take(iter(lost), Reason.MISSED, limit)
    selection.take_new(candidates, budget.most)
    return sorted(selection.chosen, key=lambda one: one.candidate.time)


def uncertainty(found: Found | None) -> float:
    """Returns how doubtful the most doubtful detection is: 1 at a score of 0.4, 0 beyond 0.15 and 0.65."""
    if found is None or not len(found.scores):
        return 0.0
    return float(np.clip(1 - np.abs(found.scores - _DOUBT) / _DOUBT_WIDTH, 0, 1).max())


def _missing(candidates: Sequence[Candidate]) -> Iterator[int]:
    """Yields the frames on which nothing, not even faintly, is where an object of the same class is clear on the frames
    before and after."""
    for n in range(1, len(candidates) - 1):
        before, here, after = (candidates[k].found for k in (n - 1, n, n + 1))
        if before is None or here is None or after is None:
            continue
        if _held(before, after) > 0 and _unmatched(before, here, after):
            yield n


def _held(before: Found, after: Found) -> int:
    return int(_matches(before, _CLEAR, after, _CLEAR).sum())


def _unmatched(before: Found, here: Found, after: Found) -> bool:
    stays = _matches(before, _CLEAR, after, _CLEAR)
    seen = _matches(before, _CLEAR, here, _FAINT)
    return bool((stays & ~seen).any())


def _matches(one: Found, least: float, other: Found, least_other: float) -> NDArray[np.bool_]:
    """Returns, for each box of `one` with that score, whether `other` has one of its class in about the same place."""
    mine, theirs = one.scores >= least, other.scores >= least_other
    overlap = iou(one.boxes[mine], other.boxes[theirs])
    overlap[one.labels[mine][:, None] != other.labels[theirs]] = 0
    found: NDArray[np.bool_] = overlap.max(axis=1, initial=0) >= _SAME
    return found


@dataclass(slots=True)
class _Selection:
    budget: Budget
    known: list[NDArray[np.float32]]
    chosen: list[Chosen] = field(default_factory=list)

    def take(self, candidates: Iterator[Candidate], reason: Reason, most: int) -> None:
        count = 0
        for one in candidates:
            if count == most or len(self.chosen) == self.budget.most:
                return
            if self._apart(one):
                self._add(one, reason)
                count += 1

    def take_new(self, candidates: Sequence[Candidate], most: int) -> None:
        """Takes, again and again, the frame that looks least like all known ones."""
        left = list(candidates)
        distances = np.array([self._distance(one) for one in left])
        while left and len(self.chosen) < most:
            best = int(distances.argmax())
            if distances[best] < _LEAST_NEW:
                return
            one = left[best]
            distances[best] = -1
            if self._apart(one):
                self._add(one, Reason.NEW)
                apart = np.array([float(np.abs(one.thumbnail - other.thumbnail).mean()) for other in left])
                distances = np.minimum(distances, apart)

    def _add(self, one: Candidate, reason: Reason) -> None:
        self.chosen.append(Chosen(one, reason))
        self.known.append(one.thumbnail)

    def _apart(self, one: Candidate) -> bool:
        return all(abs(one.time - other.candidate.time) >= self.budget.gap for other in self.chosen)

    def _distance(self, one: Candidate) -> float:
        return min((float(np.abs(one.thumbnail - other).mean()) for other in self.known), default=1.0)
