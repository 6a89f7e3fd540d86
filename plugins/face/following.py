"""Faces followed over time: which face of a frame is which of those before it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sightd.plugins.face.finder import FoundFaces
from sightd.plugins.tracker import view
from sightd.plugins.tracker.lifecycle import Rules, step
from sightd.plugins.tracker.table import ID, WIDTH, CameraTracks
from sightd.plugins.tracker.view import Reach
from sightd.plugins.types import Detections, FloatArray, IntArray

LABELS = ("face",)
_RULES = Rules(
    high_score=0.0,  # the finder's own least score decides already
    low_score=0.0,
    min_overlap=0.2,  # faces are small, and move far between two looks
    min_hits=1,
    confirm_within=0.0,
    max_lost=1.5,
    max_tracks=300,
    match_classes=False,
)
_REACH = Reach(show_lost=0.4, max_carry=1.0)
_OUTAGE = 5.0
"""A camera of which no frame was looked at for so long (s) begins anew."""


@dataclass(frozen=True, slots=True, eq=False)
class Followed:
    """The faces of one camera after its last frame that was looked at. Never changed, only replaced."""

    tracks: CameraTracks

    @classmethod
    def new(cls, size: tuple[int, int], first_id: int = 1) -> Followed:
        """Of a camera whose pictures are of `size` (width, height); numbers begin at `first_id`."""
        return cls(CameraTracks(-np.inf, size, np.zeros((0, WIDTH)), LABELS, first_id))

    @property
    def next_id(self) -> int:
        """A number that no face has had yet."""
        return self.tracks.next_id

    @property
    def ids(self) -> frozenset[int]:
        """Those that are followed, in sight or lately lost."""
        return frozenset(self.tracks.rows[:, ID].astype(int).tolist())

    def fits(self, size: tuple[int, int], at: float) -> bool:
        """Whether a frame of that size and time (s) belongs to the same run of pictures."""
        passed = at - self.tracks.at
        return self.tracks.size == size and -_RULES.max_lost <= passed <= _OUTAGE

    def seen(self, found: FoundFaces, at: float) -> tuple[Followed, IntArray]:
        """The faces after a frame at `at` (s), and for each found face the number of its track, int64 [n]."""
        detections = Detections(found.boxes, found.scores, np.zeros(len(found), np.int64), LABELS)
        after, rows = step(self.tracks, detections, max(at, self.tracks.at), _RULES)
        numbers = np.zeros(len(found), np.int64)
        matched = rows >= 0
        numbers[rows[matched]] = after.rows[matched, ID].astype(np.int64)
        return Followed(after), self._numbered(numbers)

    def carried(self, at: float) -> tuple[FloatArray, FloatArray, IntArray]:
        """Where the faces should be at `at` (s): boxes float32 [n, 4], scores float32 [n] and numbers int64 [n]; none
        where that is too far from the last frame."""
        tracks = view.carried(self.tracks, at, _REACH)
        if tracks is None:
            return np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)
        return tracks.boxes, tracks.scores, tracks.ids

    def anew(self, size: tuple[int, int]) -> Followed:
        """Nothing is followed any more; numbers go on."""
        return Followed(replace(self.tracks, at=-np.inf, size=size, rows=np.zeros((0, WIDTH))))

    @staticmethod
    def _numbered(numbers: NDArray[np.int64]) -> IntArray:
        """-1 for what could not be followed: a box that is none, or one too many."""
        numbers[numbers == 0] = -1
        return numbers
