"""From looks at faces to who they are, with the gallery as it is now."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sightd.plugins.face.calibration import Calibration
from sightd.plugins.face.config import FaceConfig
from sightd.plugins.face.evidence import Evidence, Match, Rules, Verdict, of_one_look
from sightd.plugins.face.gallery.errors import GalleryError
from sightd.plugins.face.gallery.gallery import Gallery
from sightd.plugins.face.gallery.matcher import Matcher
from sightd.plugins.face.gallery.unknown_store import Best
from sightd.plugins.face.looks import DIMENSIONS
from sightd.plugins.face.recognition import Known
from sightd.plugins.face.visits import Visit, VisitBook
from sightd.plugins.types import FloatArray, Image

log = logging.getLogger(__name__)

_LOOK_EVERY = 0.5
"""Seconds between two questions whether the gallery has changed."""
_ALIKE = 1e-2
"""False match rate at which a single look counts for a person."""
_UNKNOWN_FOR = 3.0
"""Seconds after which one who has no name is noted as an unknown person, while they are still there."""
_STRANGER = 2.0
"""Independent good looks that one without a name must have had to be kept as an unknown person."""
_LEAST_LOOKS = 2.0
"""Weight of good looks that a visit needs to be kept."""
_TOO_POOR = "no look was good enough yet"
_DECIDED = 3.0
"""Independent good looks after which one whom nobody is like enough is a stranger."""
_LASTS = 2.0
"""Seconds for which a name outlives the last good look at the face."""


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """Of one face on one frame: quality 0-1, embedding float32 [d] of length 1 where it was looked at, aligned face."""

    quality: float
    embedding: FloatArray | None
    crop: Image


class Recogniser:
    """Used by one thread at a time, but for `name_of`."""

    def __init__(
        self,
        gallery: Gallery,
        book: VisitBook,
        calibration: Calibration,
        config: FaceConfig,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Gallery and book stay the caller's."""
        self._gallery, self._book, self._calibration, self._config = gallery, book, calibration, config
        self._clock = clock
        self._asked_at = clock()
        self._told = ""
        # Who hides faces by their names shows one no longer than until the next look is due.
        self._lasts = _LASTS if config.blur in ("none", "all") else min(_LASTS, 1.5 * config.recheck)
        self._take()

    def refresh(self) -> None:
        """Takes the gallery as it is now, where it has changed; asked every half second at most. One that cannot be
        read is told of, and what was read of it before stays."""
        now = self._clock()
        if now - self._asked_at < _LOOK_EVERY:
            return
        self._asked_at = now
        try:
            if self._gallery.database.fault is not None:
                self._gallery.database.mend()
            if self._gallery.generation != self._matcher.generation:
                self._take()
        except GalleryError as error:
            if str(error) != self._told:
                log.error("enrolled faces stay as they were: %s", error)
            self._told = str(error)
        else:
            self._told = ""

    def still_there(self, known: Known) -> bool:
        """Whether all that is known of a face may stay: what was gathered of a person who was forgotten, or is part of
        another now, goes with them."""
        person = None if known.evidence is None else known.evidence.person
        return person is None or person in self._matcher.names

    def name_of(self, person: int | None) -> str | None:
        return None if person is None else self._matcher.names.get(person)

    def of_photograph(self, looks: Sequence[Look]) -> list[Known]:
        """Each look for itself."""
        nothing = np.zeros(DIMENSIONS, np.float32)
        embeddings = [nothing if one.embedding is None or not _seen(one) else one.embedding for one in looks]
        matches = self._matcher.match(np.array(embeddings).reshape(-1, DIMENSIONS))
        nowhere = np.zeros((5, 2), np.float32)
        return [
            Known(look.quality, nowhere, 0.0, 0.0, verdict=self._of_photograph(look, match))
            for look, match in zip(looks, matches, strict=True)
        ]

    def seen(self, before: Sequence[Known | None], looks: Sequence[Look], at: float, wall_time: float) -> list[Known]:
        """What is known of each face after its look at `at` (s), of what was known before."""
        nowhere = np.zeros((5, 2), np.float32)
        known = [
            Known(look.quality, nowhere, wall_time, wall_time)
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

    def decided(self, known: Known, look: Look, *, still: bool) -> bool:
        """Whether it is known who somebody is, or that nobody knows them: not before enough was seen of them. `still`:
        on a photograph, where there is no more to see."""
        if known.verdict.person is not None:
            return True
        good = _seen(look) and self._good(look)
        evidence = known.evidence
        if evidence is None:
            return still and good
        return not evidence.doubted and evidence.independent >= _DECIDED

    def noted_early(self, camera: str, known: Known) -> Known:
        """One who has been unknown for a while is noted now, that they can be named while they are there."""
        unknown = known.verdict.person is None and known.last_seen - known.first_seen >= _UNKNOWN_FOR
        return self._noted(camera, known) if unknown else known

    def note(self, camera: str, known: Known) -> None:
        """A face is not followed any more. One that was noted already is noted anew: it may have got a name."""
        self._noted(camera, known, again=True)

    def embeddings(self, looks: Sequence[Look] | None, count: int) -> FloatArray:
        """Of a frame's faces, float32 [count, d]; NaN where a face was not looked at."""
        found = np.full((count, DIMENSIONS), np.nan, np.float32)
        for row, look in enumerate(looks or ()):
            if look.embedding is not None:
                found[row] = look.embedding
        return found

    def _noted(self, camera: str, known: Known, *, again: bool = False) -> Known:
        evidence = known.evidence
        if (known.told and not again) or evidence is None or evidence.weight < _LEAST_LOOKS * self._config.min_quality:
            return known
        verdict = known.verdict
        if verdict.person is None and evidence.independent < _STRANGER:
            return known  # may well be somebody who is known
        self._book.note(
            Visit(
                camera, known.first_seen, known.last_seen, verdict.person, verdict.similarity, verdict.margin,
                verdict.reason, evidence.mean, evidence.weight, known.best, known.told,
            )
        )  # fmt: skip
        return replace(known, told=True)

    def _take(self) -> None:
        enrolled = self._gallery.enrolled(self._config.recogniser)
        self._matcher = matcher = Matcher(enrolled)
        calibration = replace(self._calibration, shift=self._gallery.shift(self._config.recogniser))
        self._alike = calibration.cosine(_ALIKE)
        self._rules = Rules(calibration, self._config.false_identification, matcher.persons, matcher.embeddings)

    def _nearest(self, looks: Sequence[Look], rows: Sequence[int]) -> list[int | None]:
        """Who each single look is nearest to, where they are alike at all."""
        embeddings = np.array([looks[row].embedding for row in rows], np.float32).reshape(-1, DIMENSIONS)
        return [match.person if match.similarity >= self._alike else None for match in self._matcher.match(embeddings)]

    def _with_look(self, known: Known, look: Look, at: float, nearest: int | None) -> Known:
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

    def _good(self, look: Look) -> bool:
        """A quality of 0 is never good enough, whatever `min_quality` says."""
        return look.quality > 0 and look.quality >= self._config.min_quality

    def _in_time(self, known: Known, at: float) -> Known:
        """Without its name, where no good look has shown it for too long."""
        verdict, evidence = known.verdict, known.evidence
        if verdict.person is None or evidence is None or at - evidence.last_at <= self._lasts:
            return known
        return replace(known, verdict=replace(verdict, person=None, reason="no look was good enough lately"))

    def _matches_of_means(self, known: Sequence[Known], rows: Sequence[int]) -> list[Match]:
        means = [one.mean for row in rows if (one := known[row].evidence) is not None]
        return self._matcher.match(np.array(means, np.float32).reshape(-1, DIMENSIONS))

    def _of_photograph(self, look: Look, match: Match) -> Verdict:
        verdict = of_one_look(match, self._rules)
        if not self._good(look):
            return Verdict(None, verdict.similarity, verdict.margin, _TOO_POOR)
        return verdict


def _seen(look: Look) -> bool:
    """Whether the recogniser has looked, and found numbers."""
    return look.embedding is not None and bool(np.isfinite(look.embedding).all())


def _unseen(verdict: Verdict) -> Verdict:
    return replace(verdict, reason=_TOO_POOR)
