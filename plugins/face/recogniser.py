"""Identifies faces from their samples, against the current gallery."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sightd.plugins.api import FloatArray, Image
from sightd.plugins.face.config import FaceConfig
from sightd.plugins.face.gallery.file import GalleryError
from sightd.plugins.face.gallery.gallery import Gallery
from sightd.plugins.face.gallery.sightings import Best
from sightd.plugins.face.matching.calibration import Calibration
from sightd.plugins.face.matching.evidence import Evidence, EvidenceRules, Verdict, of_one_sample
from sightd.plugins.face.matching.matcher import DIMENSIONS, Match, Matcher
from sightd.plugins.face.quality import TELLING
from sightd.plugins.face.tracks import NOT_SAMPLED, TrackIdentity
from sightd.plugins.face.visits import Visit, VisitBook

log = logging.getLogger(__name__)

_LOOK_EVERY = 0.5
"""Least seconds between two checks whether the gallery has changed."""
_ALIKE = 1e-2
"""False match rate at which a single sample counts for a person."""
_UNKNOWN_FOR = 3.0
"""Seconds after which somebody without a name is recorded as an unknown person, while still in view."""
_STRANGER = 2.0
"""Independent good samples required to store somebody without a name as an unknown person."""
_LEAST_LOOKS = 2.0
"""Weight of good samples, relative to the quality required, to store a visit."""
_TOO_POOR = "no look was good enough yet"
_DECIDED = 3.0
"""Independent good samples after which somebody who resembles nobody is considered a stranger."""
_LASTS = 2.0
"""Seconds for which a name outlives the last good sample of the face."""


@dataclass(frozen=True, slots=True, eq=False)
class FaceSample:
    """One face on one frame: quality 0-1, embedding float32 [d] of unit length (None if not computed), aligned face."""

    quality: float
    embedding: FloatArray | None
    crop: Image


class Recogniser:
    """Not thread-safe, apart from `name_of`."""

    def __init__(
        self,
        gallery: Gallery,
        book: VisitBook,
        calibration: Calibration,
        config: FaceConfig,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """The caller keeps ownership of gallery and book."""
        self._gallery, self._book, self._calibration, self._config = gallery, book, calibration, config
        self._clock = clock
        self._asked_at = clock()
        self._logged = ""
        # If faces are redacted by identity, a name lasts little longer than until the next sample is due.
        self._lasts = _LASTS if config.blur in ("none", "all") else min(_LASTS, 1.5 * config.recheck)
        self._take()

    def refresh(self) -> None:
        """Reloads the gallery if it has changed; checks at most every half second. If it cannot be read, logs an error
        once and keeps the data read before."""
        now = self._clock()
        if now - self._asked_at < _LOOK_EVERY:
            return
        self._asked_at = now
        try:
            if self._gallery.database.fault is not None:
                self._gallery.database.recover()
            if self._gallery.generation != self._matcher.generation:
                self._take()
        except GalleryError as error:
            if str(error) != self._logged:
                log.error("the enrolled faces were not reloaded: %s", error)
            self._logged = str(error)
        else:
            self._logged = ""

    def still_there(self, known: TrackIdentity) -> bool:
        """Whether the state of a face may be kept: it is dropped if its person was deleted from the gallery or merged
        into another."""
        person = None if known.evidence is None else known.evidence.person
        return person is None or person in self._matcher.names

    def name_of(self, person: int | None) -> str | None:
        return None if person is None else self._matcher.names.get(person)

    def of_photograph(self, looks: Sequence[FaceSample]) -> list[TrackIdentity]:
        """Identifies each face by its single sample."""
        nothing = np.zeros(DIMENSIONS, np.float32)
        embeddings = [nothing if one.embedding is None or not _seen(one) else one.embedding for one in looks]
        matches = self._matcher.match(np.array(embeddings).reshape(-1, DIMENSIONS))
        nowhere = np.zeros((5, 2), np.float32)
        return [
            TrackIdentity(look.quality, nowhere, 0.0, 0.0, verdict=self._of_photograph(look, match))
            for look, match in zip(looks, matches, strict=True)
        ]

    def seen(
        self, before: Sequence[TrackIdentity | None], looks: Sequence[FaceSample], at: float, wall_time: float
    ) -> list[TrackIdentity]:
        """Returns the state of each face after its sample at `at` (s), from the state before."""
        nowhere = np.zeros((5, 2), np.float32)
        known = [
            TrackIdentity(look.quality, nowhere, wall_time, wall_time, verdict=_before_looking(look))
            if one is None
            else replace(one, quality=look.quality, last_seen=wall_time)
            for one, look in zip(before, looks, strict=True)
        ]
        looked = [row for row, look in enumerate(looks) if _seen(look)]
        for row, nearest in zip(looked, self._nearest(looks, looked), strict=True):
            known[row] = self._with_look(known[row], looks[row], at, nearest)
        asked = [row for row in looked if known[row].evidence is not None]
        for row, match in zip(asked, self._matches_of_means(known, asked), strict=True):
            evidence = known[row].evidence
            assert evidence is not None
            evidence, verdict = evidence.judged(match, self._rules)
            known[row] = replace(known[row], evidence=evidence, verdict=verdict)
        return [self._in_time(one, at) for one in known]

    def decided(self, known: TrackIdentity, look: FaceSample, *, still: bool) -> bool:
        """Whether it is settled who somebody is, or that they are unknown, which needs enough samples. `still`: on a
        photograph, a single good sample must do."""
        if known.verdict.person is not None:
            return True
        good = _seen(look) and look.quality >= max(TELLING, self._config.min_quality)
        evidence = known.evidence
        if evidence is None:
            return still and good
        return not evidence.doubted and evidence.independent >= _DECIDED and evidence.weight >= _DECIDED * TELLING

    def noted_early(self, camera: str, known: TrackIdentity) -> TrackIdentity:
        """Records somebody who has been unknown for a while now, so that they can be named while still in view."""
        unknown = known.verdict.person is None and known.last_seen - known.first_seen >= _UNKNOWN_FOR
        return self._noted(camera, known) if unknown else known

    def note(self, camera: str, known: TrackIdentity) -> TrackIdentity:
        """Records the visit of a face whose track ended; a visit recorded early is recorded again, since it may have a
        name now."""
        return self._noted(camera, known, again=True)

    def embeddings(self, looks: Sequence[FaceSample] | None, count: int) -> FloatArray:
        """Returns the embeddings of a frame's faces, float32 [count, d]; NaN for faces without one."""
        found = np.full((count, DIMENSIONS), np.nan, np.float32)
        for row, look in enumerate(looks or ()):
            if look.embedding is not None:
                found[row] = look.embedding
        return found

    def _noted(self, camera: str, known: TrackIdentity, *, again: bool = False) -> TrackIdentity:
        evidence = known.evidence
        if (
            (known.recorded and not again)
            or evidence is None
            or evidence.weight < _LEAST_LOOKS * self._config.min_quality
        ):
            return known
        verdict = known.verdict
        if verdict.person is None and (evidence.independent < _STRANGER or evidence.weight < _LEAST_LOOKS * TELLING):
            return known  # may well be an enrolled person, and poor looks of strangers resemble each other
        self._book.note(
            Visit(
                camera, known.first_seen, known.last_seen, verdict.person, verdict.similarity, verdict.margin,
                verdict.reason, evidence.mean, evidence.weight, known.best, known.recorded,
            )
        )  # fmt: skip
        return replace(known, recorded=True)

    def _take(self) -> None:
        enrolled = self._gallery.enrolled(self._config.recogniser)
        self._matcher = matcher = Matcher(enrolled)
        calibration = replace(self._calibration, shift=self._gallery.shift(self._config.recogniser))
        self._alike = calibration.cosine(_ALIKE)
        self._rules = EvidenceRules(calibration, self._config.false_identification, matcher.persons, matcher.embeddings)

    def _nearest(self, looks: Sequence[FaceSample], rows: Sequence[int]) -> list[int | None]:
        """Returns the closest person to each single sample, or None if nobody is similar at all."""
        embeddings = np.array([looks[row].embedding for row in rows], np.float32).reshape(-1, DIMENSIONS)
        return [match.person if match.similarity >= self._alike else None for match in self._matcher.match(embeddings)]

    def _with_look(self, known: TrackIdentity, look: FaceSample, at: float, nearest: int | None) -> TrackIdentity:
        known = replace(known, looked_at=at, looks=known.looks + 1)
        assert look.embedding is not None, "rows of looks"
        if not self._good(look):
            if known.evidence is None:
                return replace(known, verdict=_unseen(known.verdict))
            return replace(known, evidence=known.evidence.with_poor_look(look.embedding))
        if known.evidence is None:
            evidence = Evidence.first(look.embedding, look.quality, at, nearest)
        else:
            evidence = known.evidence.with_look(look.embedding, look.quality, at, nearest)
        best = known.best
        if look.quality > best.quality:
            best = Best(look.quality, look.crop.copy() if self._config.crops else None)
        return replace(known, evidence=evidence, best=best)

    def _good(self, look: FaceSample) -> bool:
        """Whether a sample is good enough to identify anyone. A quality of 0 never is, whatever `min_quality` says."""
        return look.quality > 0 and look.quality >= self._config.min_quality

    def _in_time(self, known: TrackIdentity, at: float) -> TrackIdentity:
        """Removes the name if no good sample has confirmed it for too long."""
        verdict, evidence = known.verdict, known.evidence
        if verdict.person is None or evidence is None or at - evidence.last_at <= self._lasts:
            return known
        return replace(known, verdict=replace(verdict, person=None, reason="no look was good enough recently"))

    def _matches_of_means(self, known: Sequence[TrackIdentity], rows: Sequence[int]) -> list[Match]:
        means = [one.mean for row in rows if (one := known[row].evidence) is not None]
        return self._matcher.match(np.array(means, np.float32).reshape(-1, DIMENSIONS))

    def _of_photograph(self, look: FaceSample, match: Match) -> Verdict:
        verdict = of_one_sample(match, self._rules)
        if not self._good(look):
            return Verdict(None, verdict.similarity, verdict.margin, _TOO_POOR)
        return verdict


def _seen(look: FaceSample) -> bool:
    """Whether there is an embedding, and all its values are finite."""
    return look.embedding is not None and bool(np.isfinite(look.embedding).all())


def _before_looking(look: FaceSample) -> Verdict:
    """Returns the verdict for a new face: one without any quality is not looked at."""
    return NOT_SAMPLED if look.quality > 0 else _unseen(NOT_SAMPLED)


def _unseen(verdict: Verdict) -> Verdict:
    return replace(verdict, reason=_TOO_POOR)
