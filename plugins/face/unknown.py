"""Unknown persons told apart, so that one can be named afterwards: their looks are gathered as they come and go.

Each visit, the mean look of one track, joins the person whom it is most like, or begins a new one (leader clustering:
one pass, no look is kept for later). Two who turn out to be one are joined. Memory is bounded: those who were not seen
for the longest time go.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sightd.plugins.face.calibration import Calibration
from sightd.plugins.types import FloatArray

_SAME = 1e-4
"""False match rate at which a visit joins a person. Joining two persons is worse than having one twice: it names
somebody wrongly, the other only asks to be named again."""
_SURER = 1 / 8
"""By so much of the way to 1 two persons must be more alike to be joined: their means are surer than one visit."""
_MOST_WEIGHT = 20.0
"""Of a person's mean: later visits still count."""


@dataclass(frozen=True, slots=True, eq=False)
class UnknownPerson:
    """Never changed, only replaced.

    `mean` float32 [d] of length 1 · `weight` of it · times in seconds since the epoch · `visits`: tracks that were
    joined · `joined`: numbers of persons who turned out to be this one.
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
        """The two as one, under this one's number."""
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
    """All of them, in the order of their numbers. Never changed, only replaced. `next_number` was never given yet."""

    persons: tuple[UnknownPerson, ...] = ()
    next_number: int = 1

    def with_visit(
        self, mean: FloatArray, weight: float, at: float, calibration: Calibration, most: int
    ) -> tuple[Unknowns, int]:
        """After a visit, and the number of the person that it is of. `mean` float32 [d] of length 1; `at` seconds since
        the epoch; at most `most` persons are remembered."""
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
        """Without those who were not seen since then (seconds since the epoch)."""
        return replace(self, persons=tuple(person for person in self.persons if person.last_seen >= oldest))

    def without(self, number: int) -> Unknowns:
        """Without one: named, or forgotten."""
        return replace(self, persons=tuple(person for person in self.persons if person.number != number))

    def find(self, number: int) -> UnknownPerson | None:
        """The person of that number, also where it was joined with another."""
        return next((one for one in self.persons if one.number == number or number in one.joined), None)

    def _nearest(self, mean: FloatArray) -> tuple[UnknownPerson | None, float]:
        if not self.persons:
            return None, -1.0
        cosines = np.stack([person.mean for person in self.persons]) @ mean
        best = int(cosines.argmax())
        return self.persons[best], float(cosines[best])

    def _with(self, changed: UnknownPerson) -> Unknowns:
        return replace(self, persons=tuple(changed if one.number == changed.number else one for one in self.persons))

    def _joined(self, number: int, alike: float) -> Unknowns:
        """With the person joined to the one that its new mean is as like as a visit must be; the older number stays."""
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
