"""The objects that a group of cameras has seen lately, and which tracks are one of them.

An identity is decided once per track, after enough looks. A track is a known object if both look much more alike than
different objects do, if no other known object is nearly as similar, and if that object is not in sight of the same
camera under another track; otherwise it is a new one. A wrong match joins two people, a missed one only gives a person
two numbers, so the threshold is chosen for precision.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from sightd.plugins.api import FloatArray
from sightd.plugins.appearance.population import NEW_LOOKS, Population

_LOOKS = 6
"""Vectors of a track that its mean must have before its identity is decided."""
_LEAD = 1.5
"""Least lead over the next object, in standard deviations of the similarity of different ones."""
_NEWEST = 0.1
"""Least weight of the newest vector in a mean."""
_IN_SIGHT = 2.0
"""A track is in sight of its camera for this long (s) after it was reported last."""
_TRACK_ENDED = 60.0
"""A track that was not reported for this long (s) is forgotten; the object it is stays known."""

TrackKey = tuple[str, int]
"""Camera and id of a track."""


@dataclass(frozen=True, slots=True, eq=False)
class SeenTrack:
    """A track on a frame: its id, class name, and the vector float32 [d] of this frame; None if it was not embedded."""

    track: int
    label: str
    vector: FloatArray | None = None


@dataclass(slots=True, eq=False)
class _Known:
    """Mean vector of a track or an object, how many it is made of, its class, and when it was seen last (s). `number`
    is its identity, 0 if that is not decided."""

    label: str
    vector: FloatArray
    looks: int
    seen_at: float
    number: int = 0

    def add(self, vector: FloatArray) -> None:
        self.looks += 1
        mean = self.vector + np.float32(max(_NEWEST, 1 / self.looks)) * (vector - self.vector)
        self.vector = (mean / max(float(np.linalg.norm(mean)), 1e-6)).astype(np.float32)


@dataclass(slots=True)
class Gallery:
    """The objects of one group of cameras. Thread-safe. Holds `most` objects at most, each for `remember` seconds after
    it was seen last, in memory only. `deviations` is the least similarity of the same object, in standard deviations
    above that of different ones."""

    remember: float
    most: int
    deviations: float
    _objects: dict[int, _Known] = field(default_factory=dict)
    _tracks: dict[TrackKey, _Known] = field(default_factory=dict)
    _population: Population = field(default_factory=Population)
    _model: str = ""
    _next: int = 1
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def update(self, camera: str, seen: Sequence[SeenTrack], now: float, model: str) -> dict[int, int]:
        """Adds the tracks of a frame at `now` (s), and returns the identity of each of the camera's tracks that
        has one. Vectors of another `model` than before make all objects unknown."""
        with self._lock:
            if model != self._model:
                self._objects, self._tracks, self._population, self._model = {}, {}, Population(), model
            self._forget(now)
            noted = {one.track: self._noted(camera, one, now) for one in seen}
            known = {track: one for track, one in noted.items() if one is not None}
            embedded = {one.track for one in seen if one.vector is not None}
            self._learn([known[track] for track in known if track in embedded], list(known.values()))
            _separate(known.values())
            for track, one in known.items():
                if not one.number and one.looks >= _LOOKS:
                    self._decide(camera, track, one)
                if one.number in self._objects:
                    self._objects[one.number].seen_at = max(now, self._objects[one.number].seen_at)
            return {track: one.number for (where, track), one in self._tracks.items() if where == camera and one.number}

    def forget(self, camera: str) -> None:
        """Forgets the tracks of a camera; the objects it saw stay known."""
        with self._lock:
            self._tracks = {key: one for key, one in self._tracks.items() if key[0] != camera}

    def __len__(self) -> int:
        return len(self._objects)

    def _noted(self, camera: str, seen: SeenTrack, now: float) -> _Known | None:
        """Returns what is known of a track after this frame; None as long as it has no look."""
        known = self._tracks.get((camera, seen.track))
        if known is not None:
            known.seen_at = now
            if seen.vector is not None:
                known.add(seen.vector)
                if known.number in self._objects:
                    self._objects[known.number].add(seen.vector)
        elif seen.vector is not None:
            known = self._tracks[camera, seen.track] = _Known(seen.label, seen.vector, 1, now)
        return known

    def _learn(self, embedded: Sequence[_Known], in_sight: Sequence[_Known]) -> None:
        """Learns how similar the objects of a frame are: they are different ones."""
        new = [one for one in embedded if one.looks <= NEW_LOOKS]
        if new:
            different = np.array([[a is not b and a.label == b.label for b in in_sight] for a in new], np.bool_)
            vectors, others = (np.stack([one.vector for one in of]) for of in (new, in_sight))
            self._population = self._population.learnt(vectors, others, different)

    def _decide(self, camera: str, track: int, one: _Known) -> None:
        here = {
            other.number
            for (where, number), other in self._tracks.items()
            if where == camera and number != track and one.seen_at - other.seen_at <= _IN_SIGHT
        }
        numbers = [n for n, known in self._objects.items() if known.label == one.label]
        one.number = self._match(one, numbers, here) or self._new(one)

    def _match(self, one: _Known, numbers: list[int], excluded: set[int]) -> int:
        """Returns the number of the object that the track is; 0 if it is none of them."""
        if not numbers:
            return 0
        vectors = np.stack([self._objects[number].vector for number in numbers])
        alike = self._population.deviations(one.vector[None], vectors)[0]
        order = np.argsort(-alike)
        best, second = order[0], float(alike[order[1]]) if len(order) > 1 else -np.inf
        is_sure = alike[best] >= self.deviations and alike[best] - second >= _LEAD
        return numbers[best] if is_sure and numbers[best] not in excluded else 0

    def _new(self, one: _Known) -> int:
        if len(self._objects) >= self.most:
            del self._objects[min(self._objects, key=lambda number: self._objects[number].seen_at)]
        number, self._next = self._next, self._next + 1
        self._objects[number] = replace(one)
        return number

    def _forget(self, now: float) -> None:
        """Forgets what was not seen for `remember` seconds, and tracks that cannot go on."""
        longest = min(self.remember, _TRACK_ENDED)
        self._tracks = {key: one for key, one in self._tracks.items() if now - one.seen_at <= longest}
        self._objects = {number: one for number, one in self._objects.items() if now - one.seen_at <= self.remember}


def _separate(known: Iterable[_Known]) -> None:
    """If two tracks of a frame have the same identity, the one with fewer looks loses it."""
    taken: set[int] = set()
    for one in sorted(known, key=lambda one: -one.looks):
        if one.number in taken:
            one.number = 0
        elif one.number:
            taken.add(one.number)
