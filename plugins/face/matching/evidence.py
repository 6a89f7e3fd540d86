"""Identifies a person from all face samples of a track: a name needs enough agreeing samples, and changes only if the
evidence for another person is stronger.

The samples of a track are averaged, weighted by quality, and their mean is compared with the gallery. A person's own
samples scatter around a point that the mean converges to, so its cosine rises with each sample. A stranger's does not,
because how alike two people are does not depend on how long one looks. So evidence grows, but no stranger is accepted
because the same likeness was seen a hundred times. See docs/faces.md for the figures.

A name is assigned if the mean's cosine reaches the threshold of the false identification rate p(n) allowed after n
independent samples, p(n) = p / 4 · min(1, (n / 4)²), and at least two samples agree. Samples a second apart count as
independent: n = 1 + Σ min(1, Δt / 1 s). Early on only a strong likeness suffices, later a weaker one. The rate is a
quarter of p because the mean has several chances to reach the threshold during the life of a track.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from sightd.plugins.api import FloatArray
from sightd.plugins.face.matching.calibration import Calibration
from sightd.plugins.face.matching.matcher import Match

_APART = 1.0
"""Seconds after which a sample is independent of the previous one."""
_SHARE = 0.25
"""Share of the rate for a single sample that is allowed at any one moment of a track."""
_FULL = 4.0
"""Independent samples after which the full rate is allowed."""
_MEMORY = 8.0
"""Most weight of the mean, in independent samples: older ones fade."""
_LEAST_WEIGHT = 0.15
"""Weight of a sample taken immediately after another: its noise is mostly the same."""
_AGREEING = 2
"""Samples that must each be closest to the person."""
_MARGIN = 0.06
"""Required lead over the next person. Two samples of one person differ by more than that, but their means hardly do."""
_KEEP_MARGIN = 0.02
_KEEP = 20.0
"""Factor on the allowed rate while a name is kept, so that names do not flicker."""
_CHANGE = 0.1
"""Lead that another person must have before the name changes."""
_SAME_FACE = 0.35
"""Cosine to the mean below which a good sample seems to show another face: a person's own sample is hardly ever so
different (1 in 100), a stranger's nearly always. The first such sample removes the name, because the track may have
jumped to another face; a second in a row restarts the evidence."""
_POOR_DOUBTS = 0.2
"""The same for samples too poor to identify anyone: they only remove the name, until a good sample follows."""
_CERTAIN = 0.5
"""Quality from which on `_SAME_FACE` applies; below, the cosine falls towards `_POOR_DOUBTS`, as that of a person's own
samples does."""


@dataclass(frozen=True, slots=True)
class EvidenceRules:
    """Decision parameters. `threshold(rate)` is the cosine at which a stranger's sample is named with that probability
    in the current gallery; `false_identification` is the allowed rate."""

    calibration: Calibration
    false_identification: float
    persons: int
    embeddings: int

    def threshold(self, rate: float) -> float:
        return self.calibration.threshold(rate, self.persons, self.embeddings)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The identified person, or None with the reason; cosine and margin of the mean."""

    person: int | None
    similarity: float
    margin: float
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """The evidence from all good samples of one track. Immutable; replaced as a whole. Its size does not grow.

    `mean` float32 [d] of unit length with its `weight`; `independent` is the number of independent samples; `agreed`
    counts samples by the person they were closest to; `person` was named last; `doubted`: the last sample seemed to
    show another face.
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
        """Starts with one sample: embedding float32 [d] of unit length, quality 0-1, time s, and the person closest to
        it, if any is similar at all."""
        return cls(embedding, quality, 1.0, at, {} if nearest is None else {nearest: 1})

    def with_look(self, embedding: FloatArray, quality: float, at: float, nearest: int | None) -> Evidence:
        """Adds a good sample. Restarts with the second sample in a row that shows another face."""
        least = _POOR_DOUBTS + (_SAME_FACE - _POOR_DOUBTS) * min(quality / _CERTAIN, 1.0)
        if float(embedding @ self.mean) < least:
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
        """Adds a sample too poor to identify anyone, which may still show that it is somebody else."""
        return self if self.doubted or float(embedding @ self.mean) >= _POOR_DOUBTS else replace(self, doubted=True)

    def judged(self, match: Match, rules: EvidenceRules) -> tuple[Evidence, Verdict]:
        """Returns the verdict for the match of the mean, and the evidence updated with it."""
        verdict = self._verdict(match, rules)
        return (self if verdict.person is None else replace(self, person=verdict.person)), verdict

    def _verdict(self, match: Match, rules: EvidenceRules) -> Verdict:
        if match.person is None:
            return Verdict(None, match.similarity, match.margin, "nobody is enrolled")
        if self.doubted:
            return _unknown(match, "the last look seems to show another person")
        if self.person is not None and match.person == self.person:
            asked, margin = rules.threshold(min(0.5, _KEEP * rules.false_identification)), _KEEP_MARGIN
        else:
            allowed = _SHARE * rules.false_identification * min(1.0, (self.independent / _FULL) ** 2)
            asked, margin = rules.threshold(allowed), _MARGIN
        if not match.similarity >= asked:
            return _unknown(match, f"nobody is similar enough: {match.similarity:.2f}, required: {asked:.2f}")
        if not match.margin >= margin:
            return _unknown(match, f"two persons are equally similar, {match.margin:.2f} apart")
        if self.agreed.get(match.person, 0) < _AGREEING:
            return _unknown(match, "only one look so far")
        if self.person not in (None, match.person) and match.margin < _CHANGE:
            return _unknown(match, "others are as similar as the person identified before")
        return Verdict(
            match.person, match.similarity, match.margin, f"similarity {match.similarity:.2f}, required: {asked:.2f}"
        )


def of_one_sample(match: Match, rules: EvidenceRules) -> Verdict:
    """Returns the verdict for a photograph: a single sample, at the rate allowed for one."""
    if match.person is None:
        return _unknown(match, "nobody is enrolled")
    asked = rules.threshold(rules.false_identification)
    if not match.similarity >= asked:
        return _unknown(match, f"nobody is similar enough: {match.similarity:.2f}, required: {asked:.2f}")
    if not match.margin >= _MARGIN:
        return _unknown(match, f"two persons are equally similar, {match.margin:.2f} apart")
    return Verdict(
        match.person, match.similarity, match.margin, f"similarity {match.similarity:.2f}, required: {asked:.2f}"
    )


def _unknown(match: Match, reason: str) -> Verdict:
    return Verdict(None, match.similarity, match.margin, reason)


def _counted(agreed: Mapping[int, int], nearest: int | None) -> Mapping[int, int]:
    """Adds one to the count of `nearest` and subtracts one from all others: disagreeing samples reduce evidence."""
    counted = {person: min(looks, 5) - (person != nearest and nearest is not None) for person, looks in agreed.items()}
    if nearest is not None:
        counted[nearest] = counted.get(nearest, 0) + 1
    return {person: looks for person, looks in counted.items() if looks > 0}
