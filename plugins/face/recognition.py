"""What is known of the faces that are followed on one camera."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from sightd.plugins.face.evidence import Evidence, Verdict
from sightd.plugins.face.following import Followed
from sightd.plugins.face.gallery.unknown_store import Best
from sightd.plugins.types import FloatArray

_FIRST_LOOKS = 3
_SETTLED = 20
"""Looks after which one who has no name will hardly get one soon."""
_UNSETTLED = 0.2
"""Seconds between two looks at one who is not known yet."""
NOT_LOOKED = Verdict(None, float("nan"), float("nan"), "not looked at yet")


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """Of one track. `looked_at` (s) is the last look, good or not; landmarks float32 [5, 2] stand as shares of the box;
    times `first_seen`, `last_seen` in seconds since the epoch. `told`: its visit was noted."""

    quality: float
    landmarks: FloatArray
    first_seen: float
    last_seen: float
    looked_at: float = float("-inf")
    looks: int = 0
    evidence: Evidence | None = None
    verdict: Verdict = NOT_LOOKED
    best: Best = field(default_factory=lambda: Best(0.0, None))
    told: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class CameraFaces:
    """Never changed, only replaced: whoever draws reads it while the next frame is looked at."""

    followed: Followed
    known: Mapping[int, Known] = field(default_factory=dict)

    def with_known(self, followed: Followed, changed: Mapping[int, Known]) -> tuple[CameraFaces, list[Known]]:
        """After a frame; and what was known of those who are followed no more."""
        known = {**self.known, **changed}
        gone = [one for number, one in known.items() if number not in followed.ids]
        return CameraFaces(followed, {n: one for n, one in known.items() if n in followed.ids}), gone

    def kept(self, still_there: Callable[[Known], bool]) -> CameraFaces:
        """With nothing left of those who are not there any more but where they are."""
        known = {
            number: one if still_there(one) else Known(one.quality, one.landmarks, one.last_seen, one.last_seen)
            for number, one in self.known.items()
        }
        return CameraFaces(self.followed, known)

    def due(self, tracks: Sequence[int], at: float, recheck: float, most: int) -> list[bool]:
        """Which faces of a frame are to be looked at now, at most `most`: those first that wait longest."""
        waits = [self._waits(number, at, recheck) for number in tracks]
        order = sorted((row for row, wait in enumerate(waits) if wait > 0), key=lambda row: -waits[row])
        chosen = set(order[:most])
        return [row in chosen for row in range(len(tracks))]

    def _waits(self, number: int, at: float, recheck: float) -> float:
        """Seconds for which a face has been due; 0 where it is not. The first looks follow each other; then one who is
        not known yet is looked at more often than one who is."""
        known = self.known.get(number)
        if known is None:
            return float("inf")
        if known.looks < _FIRST_LOOKS:
            return max(at - known.looked_at, 1e-9)
        doubted = known.evidence is not None and known.evidence.doubted
        settled = known.verdict.person is not None or (known.looks >= _SETTLED and not doubted)
        return max(at - known.looked_at - (recheck if settled else min(recheck, _UNSETTLED)) + 1e-9, 0.0)


def relative(landmarks: FloatArray, box: FloatArray) -> FloatArray:
    """Landmarks [5, 2] as shares of a box xyxy [4]."""
    corner, size = box[:2], np.maximum(box[2:] - box[:2], 1e-6)
    shares: FloatArray = ((landmarks - corner) / size).astype(np.float32)
    return shares


def placed(shares: FloatArray, box: FloatArray) -> FloatArray:
    """The way back: landmarks [5, 2] within a box."""
    points: FloatArray = (box[:2] + shares * (box[2:] - box[:2])).astype(np.float32)
    return points
