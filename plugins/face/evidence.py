"""Who somebody is, by all looks at them: a name needs enough looks that agree, and changes with stronger ones alone.

The looks of a track are averaged, weighted by quality, and their mean is compared with the gallery. A person's own
looks scatter around something that the mean comes near to, so that its cosine rises with each look; a stranger's does
not, for how alike two people are does not change with looking longer. So evidence grows, and no stranger is talked into
a name by the hundredth look at the same likeness. See docs/faces.md for the figures.

A name is given where the mean's cosine reaches the threshold of the false identification rate p(n) that is allowed
after n independent looks: p(n) = p / 4 · min(1, (n / 4)²), and two looks at least have said so. Looks are independent
by a second's distance: n = 1 + Σ min(1, Δt / 1 s). At first only a clear likeness will do, later a lesser one. It is a
quarter of p, for over its life a track's mean has several chances to reach the threshold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from sightd.plugins.face.calibration import Calibration
from sightd.plugins.types import FloatArray

_APART = 1.0
"""Seconds after which a look is independent of the one before."""
_SHARE = 0.25
"""Of the rate for one look, what is allowed at any one moment of a track."""
_FULL = 4.0
"""Independent looks after which the whole rate is allowed."""
_MEMORY = 8.0
"""Independent looks' worth of weight in the mean: older ones fade."""
_LEAST_WEIGHT = 0.15
"""Of a look that follows at once: its noise is mostly that of the one before."""
_AGREEING = 2
"""Looks that must each be nearest to the person."""
_MARGIN = 0.06
"""How far behind the next person must be. Two looks of one person differ by more than that, but hardly the means."""
_KEEP_MARGIN = 0.02
_KEEP = 20.0
"""How many times as high a false identification rate still keeps a name that was given: it does not flicker."""
_CHANGE = 0.1
"""How much more alike another person must be before the name changes."""
_SAME_FACE = 0.35
"""Cosine to the mean below which a good look seems to show another face: a person's own look is hardly ever so unlike
(1 in 100), a stranger's nearly always. The name is taken away with the first such look, for the track may have jumped;
a second in a row begins anew."""
_POOR_DOUBTS = 0.2
"""The same for looks that are too poor to decide anything: they only take the name away, until a good one comes."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides. `threshold(rate)` is the cosine at which a stranger's look gets a name with that probability in the
    gallery as it is; `false_identification` is the rate that is allowed."""

    calibration: Calibration
    false_identification: float
    persons: int
    embeddings: int

    def threshold(self, rate: float) -> float:
        return self.calibration.threshold(rate, self.persons, self.embeddings)


@dataclass(frozen=True, slots=True)
class Match:
    """The person who is most like an embedding: their id, None in an empty gallery, the cosine, and that of the next
    other person (-1 where there is none)."""

    person: int | None
    similarity: float
    next_similarity: float

    @property
    def margin(self) -> float:
        return self.similarity - self.next_similarity


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who it is, or None with the reason; cosine and margin of the mean."""

    person: int | None
    similarity: float
    margin: float
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """All good looks at one track. Never changed, only replaced; of the same size however long it lives.

    `mean` float32 [d] of length 1; `weight` of it; `independent` looks; `agreed`: how many looks were nearest to whom;
    `person`: who was named last; `doubted`: the last look seemed to show another face.
    """

    mean: FloatArray
    weight: float
    independent: float
    last_at: float
    agreed: Mapping[int, int] = field(default_factory=dict)
    person: int | None = None
    doubted: bool = False

    @classmethod
    def first(cls, embedding: FloatArray, quality: float, at: float, nearest: int | None) -> Evidence:
        """Of one look: embedding float32 [d] of length 1, quality 0-1, time s, and the person nearest to it if they are
        at all alike."""
        return cls(embedding, quality, 1.0, at, {} if nearest is None else {nearest: 1})

    def with_look(self, embedding: FloatArray, quality: float, at: float, nearest: int | None) -> Evidence:
        """After another good look; a new beginning with the second in a row that shows another face."""
        if float(embedding @ self.mean) < _SAME_FACE:
            return Evidence.first(embedding, quality, at, nearest) if self.doubted else replace(self, doubted=True)
        apart = min(max(at - self.last_at, 0.0) / _APART, 1.0)
        weight = quality * max(_LEAST_WEIGHT, apart)
        kept = min(self.weight, _MEMORY - weight)
        mean = kept * self.mean + weight * embedding
        return replace(
            self,
            mean=(mean / max(float(np.linalg.norm(mean)), 1e-12)).astype(np.float32),
            weight=kept + weight,
            independent=self.independent + apart,
            last_at=max(at, self.last_at),
            agreed=_counted(self.agreed, nearest),
            doubted=False,
        )

    def with_poor_look(self, embedding: FloatArray) -> Evidence:
        """After a look that is too poor to decide who it is, and may still show that it is somebody else."""
        return self if self.doubted or float(embedding @ self.mean) >= _POOR_DOUBTS else replace(self, doubted=True)

    def judged(self, match: Match, rules: Rules) -> tuple[Evidence, Verdict]:
        """The verdict by the match of the mean, and the evidence that remembers it."""
        verdict = self._verdict(match, rules)
        return (self if verdict.person is None else replace(self, person=verdict.person)), verdict

    def _verdict(self, match: Match, rules: Rules) -> Verdict:
        if match.person is None:
            return Verdict(None, match.similarity, match.margin, "nobody is enrolled")
        if self.doubted:
            return _unknown(match, "the last look seems to show somebody else")
        if self.person is not None and match.person == self.person:
            asked, margin = rules.threshold(min(0.5, _KEEP * rules.false_identification)), _KEEP_MARGIN
        else:
            allowed = _SHARE * rules.false_identification * min(1.0, (self.independent / _FULL) ** 2)
            asked, margin = rules.threshold(allowed), _MARGIN
        if not match.similarity >= asked:
            return _unknown(match, f"nobody is similar enough: {match.similarity:.2f}, {asked:.2f} is asked")
        if not match.margin >= margin:
            return _unknown(match, f"two persons are equally similar, {match.margin:.2f} apart")
        if self.agreed.get(match.person, 0) < _AGREEING:
            return _unknown(match, "one look alone so far")
        if self.person not in (None, match.person) and match.margin < _CHANGE:
            return _unknown(match, "others are as similar as the person it was taken for")
        return Verdict(match.person, match.similarity, match.margin, f"similar: {match.similarity:.2f} of {asked:.2f}")


def of_one_look(match: Match, rules: Rules) -> Verdict:
    """Of a photograph: one look, at the rate that is allowed for one."""
    if match.person is None:
        return _unknown(match, "nobody is enrolled")
    asked = rules.threshold(rules.false_identification)
    if not match.similarity >= asked:
        return _unknown(match, f"nobody is similar enough: {match.similarity:.2f}, {asked:.2f} is asked")
    if not match.margin >= _MARGIN:
        return _unknown(match, f"two persons are equally similar, {match.margin:.2f} apart")
    return Verdict(match.person, match.similarity, match.margin, f"similar: {match.similarity:.2f} of {asked:.2f}")


def _unknown(match: Match, reason: str) -> Verdict:
    return Verdict(None, match.similarity, match.margin, reason)


def _counted(agreed: Mapping[int, int], nearest: int | None) -> Mapping[int, int]:
    """One more for `nearest`, one less for all others: looks that disagree take evidence away."""
    counted = {person: min(looks, 5) - (person != nearest and nearest is not None) for person, looks in agreed.items()}
    if nearest is not None:
        counted[nearest] = counted.get(nearest, 0) + 1
    return {person: looks for person, looks in counted.items() if looks > 0}
