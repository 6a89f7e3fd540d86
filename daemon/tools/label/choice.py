"""Active choice: which frames of a film are worth labelling, compared with all others of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sightd.daemon.tools.label.finder import Found
from sightd.plugins.images import worth_labelling
from sightd.plugins.images.worth_labelling import Objects, Reason, difference, was_missed

_LEAST_NEW = 0.04
"""Least mean difference of the thumbnails, of 0-1, at which a frame looks new."""


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
    """Returns how doubtful the most doubtful detection is, 0-1."""
    return 0.0 if found is None else worth_labelling.uncertainty(found.scores)


def _missing(candidates: Sequence[Candidate]) -> Iterator[int]:
    """Yields the frames on which an object was missed."""
    for n in range(1, len(candidates) - 1):
        before, here, after = (candidates[k].found for k in (n - 1, n, n + 1))
        if before is None or here is None or after is None:
            continue
        if was_missed(_objects(before), _objects(here), _objects(after)):
            yield n


def _objects(found: Found) -> Objects:
    return Objects(found.boxes, found.scores, found.labels)


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
                apart = np.array([difference(one.thumbnail, other.thumbnail) for other in left])
                distances = np.minimum(distances, apart)

    def _add(self, one: Candidate, reason: Reason) -> None:
        self.chosen.append(Chosen(one, reason))
        self.known.append(one.thumbnail)

    def _apart(self, one: Candidate) -> bool:
        return all(abs(one.time - other.candidate.time) >= self.budget.gap for other in self.chosen)

    def _distance(self, one: Candidate) -> float:
        return min((difference(one.thumbnail, other) for other in self.known), default=1.0)
