"""Clusters unknown persons so that they can be named later: their samples are collected as they come and go.

Each visit (the mean embedding of one track) joins the most similar person or starts a new one (leader clustering: one
pass, single samples are not kept). Two clusters that turn out to be one person are merged. Memory is bounded: those not
seen for the longest time are dropped.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sightd.plugins.api import FloatArray
from sightd.plugins.face.matching.calibration import Calibration

_SAME = 1e-4
"""False match rate at which a visit joins a person. Merging two persons is worse than keeping one twice: it leads to a
wrong name, whereas a duplicate only has to be named again."""
_SURER = 1 / 8
"""How much more similar two persons must be to be merged, as a share of the distance from the threshold to 1: their
means are more reliable than a single visit."""
_MOST_WEIGHT = 20.0
"""Most weight of a person's mean, so that later visits still count."""


@dataclass(frozen=True, slots=True, eq=False)
class UnknownPerson:
    """One cluster. Immutable.

    `mean` float32 [d] of unit length with its `weight` · times in seconds since the epoch · `visits`: number of tracks
    merged · `joined`: numbers of persons who turned out to be this one.
    """

    number: int
    mean: FloatArray
    weight: float
    first_seen: float
    last_seen: float
    visits: int = 1
    joined: tuple[int, ...] = ()

    def with_visit(self, mean: FloatArray, weight: float, at: float) -> UnknownPerson:
        return replace(
            self,
            mean=_mixed(self.mean, self.weight, mean, weight),
            weight=min(self.weight + weight, _MOST_WEIGHT),
            first_seen=min(self.first_seen, at),
            last_seen=max(self.last_seen, at),
            visits=self.visits + 1,
        )

    def with_person(self, other: UnknownPerson) -> UnknownPerson:
        """Merges the two under this one's number."""
        return replace(
            self,
            mean=_mixed(self.mean, self.weight, other.mean, other.weight),
            weight=min(self.weight + other.weight, _MOST_WEIGHT),
            first_seen=min(self.first_seen, other.first_seen),
            last_seen=max(self.last_seen, other.last_seen),
            visits=self.visits + other.visits,
            joined=(*self.joined, other.number, *other.joined),
        )


@dataclass(frozen=True, slots=True)
class Unknowns:
    """All unknown persons, ordered by number. Immutable. `next_number` was never assigned yet."""

    persons: tuple[UnknownPerson, ...] = ()
    next_number: int = 1

    def with_visit(
        self, mean: FloatArray, weight: float, at: float, calibration: Calibration, most: int
    ) -> tuple[Unknowns, int]:
        """Adds a visit, and returns the number of its person. `mean` float32 [d] of unit length; `at` seconds since the
        epoch; at most `most` persons are kept."""
        alike = calibration.cosine(_SAME)
        best, cosine = self._nearest(mean)
        if best is None or cosine < alike:
            person = UnknownPerson(self.next_number, mean, weight, at, at)
            after = Unknowns((*self.persons, person), self.next_number + 1)
        else:
            person = best.with_visit(mean, weight, at)
            after = self._with(person)._joined(person.number, alike)
        return after._at_most(most), person.number

    def since(self, oldest: float) -> Unknowns:
        """Drops persons not seen since `oldest` (seconds since the epoch)."""
        return replace(self, persons=tuple(person for person in self.persons if person.last_seen >= oldest))

    def without(self, number: int) -> Unknowns:
        """Drops one person, who was named or forgotten."""
        return replace(self, persons=tuple(person for person in self.persons if person.number != number))

    def find(self, number: int) -> UnknownPerson | None:
        """Returns the person of that number, even if it was merged into another one."""
        return next((one for one in self.persons if one.number == number or number in one.joined), None)

    def nearest(self, person: UnknownPerson, most: int) -> list[tuple[UnknownPerson, float]]:
        """Returns at most `most` other persons with the cosines of their means to that of `person`, most similar
        first."""
        others = self.without(person.number).persons
        pairs = ((other, float(other.mean @ person.mean)) for other in others)
        return sorted(pairs, key=lambda pair: -pair[1])[:most]

    def _nearest(self, mean: FloatArray) -> tuple[UnknownPerson | None, float]:
        if not self.persons:
            return None, -1.0
        cosines = np.stack([person.mean for person in self.persons]) @ mean
        best = int(cosines.argmax())
        return self.persons[best], float(cosines[best])

    def _with(self, changed: UnknownPerson) -> Unknowns:
        return replace(self, persons=tuple(changed if one.number == changed.number else one for one in self.persons))

    def _joined(self, number: int, alike: float) -> Unknowns:
        """Merges the person with the most similar one, if close enough by its new mean; the lower number is kept."""
        person = self.find(number)
        assert person is not None
        other, cosine = self.without(number)._nearest(person.mean)
        if other is None or cosine < alike + _SURER * (1 - alike):
            return self
        older, newer = sorted((person, other), key=lambda one: one.number)
        return self.without(newer.number)._with(older.with_person(newer))

    def _at_most(self, most: int) -> Unknowns:
        if len(self.persons) <= most:
            return self
        kept = sorted(self.persons, key=lambda one: -one.last_seen)[:most]
        return replace(self, persons=tuple(sorted(kept, key=lambda one: one.number)))


def _mixed(one: FloatArray, weight: float, other: FloatArray, of_other: float) -> FloatArray:
    mean = weight * one + of_other * other
    unit: FloatArray = (mean / max(float(np.linalg.norm(mean)), 1e-12)).astype(np.float32)
    return unit
