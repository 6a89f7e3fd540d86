"""The identity state of the faces tracked on one camera."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from sightd.plugins.face.evidence import Evidence, Verdict
from sightd.plugins.face.face_tracks import FaceTracks
from sightd.plugins.face.gallery.unknown_store import Best
from sightd.plugins.types import FloatArray

_FIRST_LOOKS = 3
_SETTLED = 20
"""Samples after which somebody without a name is unlikely to get one soon."""
_UNSETTLED = 0.2
"""Seconds between two samples of somebody who is not identified yet."""
NOT_SAMPLED = Verdict(None, float("nan"), float("nan"), "not looked at yet")


@dataclass(frozen=True, slots=True, eq=False)
class TrackIdentity:
    """The identity of one track. `looked_at` (s) is the time of the last sample, good or not; landmarks float32 [5, 2]
    are relative to the box; `first_seen`, `last_seen` are in seconds since the epoch. `told`: visit was recorded."""

    quality: float
    landmarks: FloatArray
    first_seen: float
    last_seen: float
    looked_at: float = float("-inf")
    looks: int = 0
    evidence: Evidence | None = None
    verdict: Verdict = NOT_SAMPLED
    best: Best = field(default_factory=lambda: Best(0.0, None))
    told: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class CameraFaces:
    """The face state of one camera. Immutable; replaced as a whole, so that drawing can read it during analysis."""

    followed: FaceTracks
    known: Mapping[int, TrackIdentity] = field(default_factory=dict)

    def with_known(
        self, followed: FaceTracks, changed: Mapping[int, TrackIdentity]
    ) -> tuple[CameraFaces, list[TrackIdentity]]:
        """Returns the state after a frame, and the identities of tracks that ended."""
        known = {**self.known, **changed}
        gone = [one for number, one in known.items() if number not in followed.ids]
        return CameraFaces(followed, {n: one for n, one in known.items() if n in followed.ids}), gone

    def kept(self, still_there: Callable[[TrackIdentity], bool]) -> CameraFaces:
        """Resets the identity of faces that may not be kept; only their position remains."""
        known = {
            number: one if still_there(one) else TrackIdentity(one.quality, one.landmarks, one.last_seen, one.last_seen)
            for number, one in self.known.items()
        }
        return CameraFaces(self.followed, known)

    def due(self, tracks: Sequence[int], at: float, recheck: float, most: int) -> list[bool]:
        """Returns which faces of a frame are sampled now, at most `most`: those waiting longest first."""
        waits = [self._waits(number, at, recheck) for number in tracks]
        order = sorted((row for row, wait in enumerate(waits) if wait > 0), key=lambda row: -waits[row])
        chosen = set(order[:most])
        return [row in chosen for row in range(len(tracks))]

    def _waits(self, number: int, at: float, recheck: float) -> float:
        """Returns for how many seconds a face has been due; 0 if it is not. The first samples follow immediately; after
        that, somebody not yet identified is sampled more often than somebody who is."""
        known = self.known.get(number)
        if known is None:
            return float("inf")
        if known.looks < _FIRST_LOOKS:
            return max(at - known.looked_at, 1e-9)
        doubted = known.evidence is not None and known.evidence.doubted
        settled = known.verdict.person is not None or (known.looks >= _SETTLED and not doubted)
        return max(at - known.looked_at - (recheck if settled else min(recheck, _UNSETTLED)) + 1e-9, 0.0)


def relative(landmarks: FloatArray, box: FloatArray) -> FloatArray:
    """Converts landmarks [5, 2] to shares of a box xyxy [4]."""
    corner, size = box[:2], np.maximum(box[2:] - box[:2], 1e-6)
    shares: FloatArray = ((landmarks - corner) / size).astype(np.float32)
    return shares


def absolute(shares: FloatArray, box: FloatArray) -> FloatArray:
    """Converts shares of a box back to landmarks [5, 2]; the inverse of `relative`."""
    points: FloatArray = (box[:2] + shares * (box[2:] - box[:2])).astype(np.float32)
    return points
