"""Decides where a frame is searched for faces: the whole, and in close-ups people, small faces and parts in turn.

The model's input shows a large frame scaled down, so faces that are small in it are lost. Close-ups show the camera's
own pixels: the heads of people that a detector or tracker found, faces that are already tracked, and, if nothing says
where people are, one part of the frame after the other. Crops share an input, and the number of inputs is limited.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sightd.engines.geometry import clip
from sightd.plugins.api import BoolArray, FloatArray, Frame
from sightd.plugins.face.detector import DetectedFaces, FaceDetector, Plan, Search, merged
from sightd.plugins.look.sheets import Sheet, packed
from sightd.plugins.look.views import ScaledView, View, contains, even, grid, largest_grid, tiles

_TILE_OVERLAP = 0.25
"""Overlap of neighbouring tiles, as a share of their sides: a face of that size is complete in at least one of them."""
_GRID_OVERLAP = 0.22
"""The same for photographs: a face larger than that is large enough in the whole frame."""
_HEAD = 0.45
"""Share of a person's height, from the top, that is searched for the head; at least as much as their width, because a
box as wide as it is high shows head and shoulders."""
_PERSON_MARGIN = 0.15
"""Margin around the person's box, as a share of its sides: heads may extend beyond it."""
_LEAST_VIEW = 24
"""Least length of a view's shorter side in pixels; no face in a smaller view would be usable."""
_FACE = 1 / 8
"""Height of a face as a share of a standing person's."""
_SMALL = 40.0
"""Length of a face in pixels of the model's input from which on a close-up finds nothing more."""
_GAIN = 1.25
"""How many times larger than in the whole frame a close-up must show a face."""
_SURROUNDINGS = 3.0
"""Side of a close-up of a tracked face, as a multiple of the face's longer side."""
_LEAST_CLOSE_UP = 48
_TINY, _ENLARGED = 28.0, 2.0
"""Length of a face in pixels below which its close-up is enlarged, and how much: that finds 97 % of faces of 14 pixels
instead of 52 % (see `bench.face_search`)."""
_COMPLETE = 24.0
"""Length of a face in pixels of the whole frame's input from which on it need not be complete in a tile."""
_TILE_EVERY = 0.09
"""Least seconds between two tiles of a camera."""
_MOST_CROPS = 64


@dataclass(slots=True)
class _Turn:
    """What a camera's next frame of this size starts with: the next tile, the first of the crops if not all fit, and
    doubtful faces of the frame before, boxes float32 [n, 4]."""

    size: tuple[int, int]
    tile: int = 0
    tile_at: float = float("-inf")
    crop: int = 0
    doubtful: FloatArray = field(default_factory=lambda: np.zeros((0, 4), np.float32))


class SearchPlanner:
    """Plans the search of each frame. Keeps whose turn it is for each camera; for one thread at a time."""

    def __init__(self, search: Search) -> None:
        self._search = search
        self._turns: dict[str, _Turn] = {}

    def plan(self, frame: Frame, people: FloatArray | None, tracked: FloatArray) -> Plan:
        """Returns where to search a frame. `people`: boxes xyxy float32 [n, 4] px, None if nothing says where people
        are; `tracked`: boxes float32 [m, 4] of faces expected in it."""
        search = self._search
        width, height = frame.width, frame.height
        size, views = (search.size, search.size), [] if search.only_people else tile_views(width, height, search.tiles)
        turn = self._turn(frame)
        most = search.close_ups + search.only_people
        crops = self._crops(frame, people, np.concatenate((tracked, turn.doubtful)))
        large = [crop for crop in crops if max(crop.size) > search.size][:most]
        small = [crop for crop in crops if max(crop.size) <= search.size]
        first = turn.crop % max(len(small), 1)
        packer, shown = packed([*small[first:], *small[:first]][:_MOST_CROPS], *size, most - len(large))
        turn.crop = 0 if shown == len(small) else first + shown
        sheets = packer.sheets()
        left = most - len(large) - len(sheets)
        views += [crop.view for crop in large]
        if search.only_people or search.tiles > 1 or not left:
            return Plan(views, sheets)
        if frame.still:  # one input is left for the doubtful
            parts = largest_grid(width, height, size, max(left - 1, 1), _GRID_OVERLAP, _ENLARGED)
            return Plan(views, [*sheets, *(Sheet.of(part, *size) for part in parts if len(parts) > 1)])
        return Plan(views + self._tile(frame, turn, known=people is not None and not search.everywhere), sheets)

    def again(self, frame: Frame, plan: Plan, found: DetectedFaces) -> Plan:
        """Returns where to look closer after a search by `plan` found these faces: at the doubtful ones. A photograph
        is searched again at once, as far as the budget permits; a video with the next frame."""
        doubtful = found.boxes[found.scores < self._search.sure_score]
        if not frame.still:
            turn = self._turns.get(frame.camera)
            if turn is not None and turn.size == (frame.width, frame.height):  # it may have been forgotten meanwhile
                turn.doubtful = doubtful
            return Plan(())
        used = len(plan.views) + len(plan.sheets) - (not self._search.only_people)
        size, most = self._search.size, max(self._search.close_ups - used, 0)
        packer, _ = packed(self._crops(frame, None, doubtful)[:_MOST_CROPS], size, size, most)
        return Plan((), packer.sheets())

    def forget(self, camera: str) -> None:
        self._turns.pop(camera, None)

    def _turn(self, frame: Frame) -> _Turn:
        size = (frame.width, frame.height)
        if frame.still:
            return _Turn(size)
        turn = self._turns.get(frame.camera)
        if turn is None or turn.size != size:
            turn = self._turns[frame.camera] = _Turn(size)
        return turn

    def _crops(self, frame: Frame, people: FloatArray | None, faces: FloatArray) -> list[ScaledView]:
        """Returns the close-ups of heads and faces, unless they are large enough in the whole frame."""
        width, height = frame.width, frame.height
        people = np.zeros((0, 4), np.float32) if people is None else people
        expected = (people[:, 3] - people[:, 1]) * _FACE
        if self._search.only_people:
            return [ScaledView(even(view)) for view in head_views(people, width, height)]
        whole = min(1.0, self._search.size / max(width, height))
        heads = [
            ScaledView(even(view), _scale(expected[row]))
            for row in np.flatnonzero(_gains(expected, whole))
            for view in head_views(people[[row]], width, height)
        ]
        sides = (faces[:, 2:] - faces[:, :2]).max(axis=1, initial=0)
        views = [head.view for head in heads]
        return heads + [
            ScaledView(even(face_view(faces[row], width, height)), _scale(sides[row]))
            for row in np.flatnonzero(_gains(sides, whole))
            if not any(contains(view, faces[[row]])[0] for view in views)
        ]

    def _tile(self, frame: Frame, turn: _Turn, *, known: bool) -> list[View]:
        """Returns the part of a video's frame whose turn it is, unless it is known where people are."""
        size, longest = self._search.size, max(frame.width, frame.height)
        if known or longest <= size or 0 <= frame.captured_at - turn.tile_at < _TILE_EVERY:
            return []
        parts = tiles(frame.width, frame.height, (size, size), min(_COMPLETE * longest / size**2, 0.5))
        turn.tile, turn.tile_at = (turn.tile + 1) % len(parts), frame.captured_at
        return [parts[turn.tile]]


class FaceSearch:
    """A face detector with a plan of each frame. For one thread at a time; the caller closes the detector."""

    def __init__(self, face_detector: FaceDetector, search: Search) -> None:
        self._face_detector, self._planner, self._search = face_detector, SearchPlanner(search), search

    def find(
        self, frames: Sequence[Frame], people: Sequence[FloatArray | None], tracked: Sequence[FloatArray]
    ) -> list[DetectedFaces]:
        """Returns the faces of each frame, also doubtful ones; for `people` and `tracked` see `SearchPlanner.plan`."""
        plans = [self._planner.plan(*one) for one in zip(frames, people, tracked, strict=True)]
        found = self._face_detector.find(frames, plans)
        closer = [self._planner.again(*one) for one in zip(frames, plans, found, strict=True)]
        rows = [row for row, plan in enumerate(closer) if plan.sheets]
        again = self._face_detector.find([frames[row] for row in rows], [closer[row] for row in rows])
        for row, faces in zip(rows, again, strict=True):
            found[row] = merged((found[row], faces), self._search)
        return found

    def forget(self, camera: str) -> None:
        self._planner.forget(camera)


def tile_views(width: int, height: int, count: int) -> list[View]:
    """Returns the whole frame and, if `count` is above 1, count x count overlapping tiles, row by row."""
    views = [(0, 0, width, height)]
    return [*views, *grid(width, height, (count, count), _TILE_OVERLAP)] if count > 1 else views


def face_view(face: FloatArray, width: int, height: int) -> View:
    """Returns a square around a face, from its box xyxy float32 [4] px, cut off at the frame's edges."""
    centre, longer = (face[:2] + face[2:]) / 2, float((face[2:] - face[:2]).max())
    reach = max(longer * _SURROUNDINGS, _LEAST_CLOSE_UP) / 2
    (around,) = clip(np.concatenate((centre - reach, centre + reach))[None], width, height).astype(int).tolist()
    return around[0], around[1], around[2], around[3]


def head_views(people: FloatArray, width: int, height: int) -> list[View]:
    """Returns the heads of people, from boxes xyxy float32 [n, 4] px; skips those with too little inside the frame."""
    views = []
    for x1, y1, x2, y2 in people[np.isfinite(people).all(axis=1)].tolist():
        across, down = _PERSON_MARGIN * (x2 - x1), _PERSON_MARGIN * (y2 - y1)
        left, right = max(0, int(x1 - across)), min(width, int(x2 + across))
        reach = min(max(_HEAD * (y2 - y1), x2 - x1), y2 - y1)
        top, bottom = max(0, int(y1 - down)), min(height, int(min(y1 + reach + across, y2 + down)))
        if min(right - left, bottom - top) >= _LEAST_VIEW:
            views.append((left, top, right, bottom))
    return views


def _gains(faces: FloatArray, whole: float) -> BoolArray:
    """Returns which faces of these lengths in pixels, float32 [n], a close-up shows clearly larger than the whole frame
    does, which is scaled by `whole`, unless they are large enough there."""
    gains: BoolArray = (faces * whole < _SMALL) & (np.where(faces < _TINY, _ENLARGED, 1.0) >= _GAIN * whole)
    return gains


def _scale(face: float) -> float:
    """Returns how much a close-up is enlarged that shows a face of that length in pixels."""
    return _ENLARGED if face < _TINY else 1.0
