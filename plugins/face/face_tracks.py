"""Tracks faces: matches the faces of a frame with those of earlier frames."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sightd.plugins.face.face_detector import DetectedFaces
from sightd.plugins.tracker import view
from sightd.plugins.tracker.lifecycle import LifecycleRules, step
from sightd.plugins.tracker.table import ID, WIDTH, CameraTracks
from sightd.plugins.tracker.view import Reach
from sightd.plugins.types import Detections, FloatArray, IntArray

LABELS = ("face",)
_RULES = LifecycleRules(
    high_score=0.0,  # the finder has already applied its least score
    low_score=0.0,
    min_overlap=0.2,  # faces are small and move far between two samples
    min_hits=1,
    confirm_within=0.0,
    max_lost=1.5,
    max_tracks=300,
    match_classes=False,
)
_REACH = Reach(show_lost=0.4, max_carry=1.0)
_OUTAGE = 5.0
"""If no frame of a camera was analysed for this long (s), tracking starts over."""


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
        after, rows = step(self.tracks, detections, max(at, self.tracks.at), _RULES)
        numbers = np.zeros(len(found), np.int64)
        matched = rows >= 0
        numbers[rows[matched]] = after.rows[matched, ID].astype(np.int64)
        return FaceTracks(after), self._numbered(numbers)

    def carried(self, at: float) -> tuple[FloatArray, FloatArray, IntArray]:
        """Returns the predicted faces at `at` (s): boxes float32 [n, 4], scores float32 [n] and ids int64 [n]; none if
        that is too far from the last frame."""
        tracks = view.carried(self.tracks, at, _REACH)
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
