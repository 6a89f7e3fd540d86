"""Tracks the faces of a camera from frame to frame, with the identity of each track."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from sightd.plugins.activity.scene import View
from sightd.plugins.api import Detections, FloatArray, IntArray
from sightd.plugins.face.detector import DetectedFaces
from sightd.plugins.face.gallery.sightings import Best
from sightd.plugins.face.matching.evidence import Evidence, Verdict
from sightd.plugins.tracker import camera_tracks
from sightd.plugins.tracker.camera_tracks import ID, WIDTH, CameraTracks, Reach
from sightd.plugins.tracker.lifecycle import LifecycleRules, step

LABELS = ("face",)
_RULES = LifecycleRules(
    high_score=0.0,  # the detector has already applied its least score
    low_score=0.0,
    min_overlap=0.2,  # faces are small and move far between two samples
    min_hits=1,
    confirm_within=0.0,
    max_lost=1.5,
    max_tracks=300,
    match_classes=False,
)
_REACH = Reach(show_lost=0.4, max_prediction=1.0)
_OUTAGE = 5.0
"""If no frame of a camera was analysed for this long (s), tracking starts over."""
_FIRST_LOOKS = 3
_SETTLED = 20
"""Samples after which somebody without a name is unlikely to get one soon."""
_UNSETTLED = 0.2
"""Seconds between two samples of somebody who is not identified yet."""
NOT_SAMPLED = Verdict(None, float("nan"), float("nan"), "not looked at yet")


@dataclass(frozen=True, slots=True, eq=False)
class FaceTracks:
    """The face tracks of one camera after its last analysed frame. Immutable; replaced as a whole."""

    tracks: CameraTracks

    @classmethod
    def new(cls, size: tuple[int, int], first_id: int = 1) -> FaceTracks:
        """Starts tracking a camera with frames of `size` (width, height); ids start at `first_id`."""
        return cls(CameraTracks(-np.inf, size, np.zeros((0, WIDTH)), LABELS, first_id))

    @property
    def next_id(self) -> int:
        """An id that no face has had yet."""
        return self.tracks.next_id

    @property
    def ids(self) -> frozenset[int]:
        """Ids of all tracked faces, visible or recently lost."""
        return frozenset(self.tracks.rows[:, ID].astype(int).tolist())

    def fits(self, size: tuple[int, int], at: float) -> bool:
        """Whether a frame of that size and time (s) belongs to the same sequence."""
        passed = at - self.tracks.at
        return self.tracks.size == size and -_RULES.max_lost <= passed <= _OUTAGE

    def seen(self, found: DetectedFaces, at: float) -> tuple[FaceTracks, IntArray]:
        """Returns the tracks after a frame at `at` (s), and the track id of each found face, int64 [n]."""
        detections = Detections(found.boxes, found.scores, np.zeros(len(found), np.int64), LABELS)
        after, rows, _ = step(self.tracks, detections, max(at, self.tracks.at), _RULES)
        numbers = np.zeros(len(found), np.int64)
        matched = rows >= 0
        numbers[rows[matched]] = after.rows[matched, ID].astype(np.int64)
        return FaceTracks(after), self._numbered(numbers)

    def predicted(self, at: float) -> tuple[FloatArray, FloatArray, IntArray]:
        """Returns the predicted faces at `at` (s): boxes float32 [n, 4], scores float32 [n] and ids int64 [n]; none if
        that is too far from the last frame."""
        tracks = camera_tracks.predicted(self.tracks, at, _REACH)
        if tracks is None:
            return np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)
        return tracks.boxes, tracks.scores, tracks.ids

    def without_tracks(self, size: tuple[int, int]) -> FaceTracks:
        """Returns the state without any track, for frames of `size` (width, height); ids continue."""
        return FaceTracks(replace(self.tracks, at=-np.inf, size=size, rows=np.zeros((0, WIDTH))))

    @staticmethod
    def _numbered(numbers: NDArray[np.int64]) -> IntArray:
        """Replaces 0 by -1, in place: faces that could not be tracked (invalid boxes, or one too many)."""
        numbers[numbers == 0] = -1
        return numbers


@dataclass(frozen=True, slots=True, eq=False)
class TrackIdentity:
    """The identity of one track. `looked_at` (s) is the time of the last sample, good or not; landmarks float32 [5, 2]
    are relative to the box; `first_seen`, `last_seen` are in seconds since the epoch. `recorded`: visit was stored."""

    quality: float
    landmarks: FloatArray
    first_seen: float
    last_seen: float
    looked_at: float = float("-inf")
    looks: int = 0
    evidence: Evidence | None = None
    verdict: Verdict = NOT_SAMPLED
    best: Best = field(default_factory=lambda: Best(0.0, None))
    recorded: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class CameraFaces:
    """The face state of one camera. Immutable; replaced as a whole, so that drawing can read it during analysis.
    `view` is what the last frame looked like; None if it was on a GPU."""

    followed: FaceTracks
    known: Mapping[int, TrackIdentity] = field(default_factory=dict)
    view: View | None = None

    def with_known(
        self, followed: FaceTracks, changed: Mapping[int, TrackIdentity]
    ) -> tuple[CameraFaces, dict[int, TrackIdentity]]:
        """Returns the state after a frame, and the identities of tracks that ended."""
        known, ids = {**self.known, **changed}, followed.ids
        gone = {number: one for number, one in known.items() if number not in ids}
        return replace(self, followed=followed, known={n: one for n, one in known.items() if n in ids}), gone

    def kept(self, still_there: Callable[[TrackIdentity], bool]) -> CameraFaces:
        """Resets the identity of faces that may not be kept; only their position remains."""
        known = {
            number: one if still_there(one) else TrackIdentity(one.quality, one.landmarks, one.last_seen, one.last_seen)
            for number, one in self.known.items()
        }
        return replace(self, known=known)

    def due(self, tracks: Sequence[int], usable: Sequence[bool], at: float, recheck: float, most: int) -> list[bool]:
        """Returns which of the `usable` faces of a frame are sampled now, at most `most`: those waiting longest
        first."""
        waits = [
            self._waits(number, at, recheck) if large else 0.0 for number, large in zip(tracks, usable, strict=True)
        ]
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
