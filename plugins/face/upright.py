"""Which way up a face is, and its landmarks as they are when it is turned upright.

A detector finds turned faces, too, and puts the landmarks where those of an upright face would be: the eyes of a face
that stands on its head onto its mouth. What an embedder makes of such a face says little about whose it is, and turned
faces of different people look alike to it. The landmarks do not show it, but the detector's score does: it is highest
when the face is upright. So a face whose score is not that of an upright face is cut out in eight directions, and
found again in the one with the highest score.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sightd.plugins.face.finder import FaceFinder, FoundFaces
from sightd.plugins.types import BoolArray, FloatArray, Frame, Image

UPRIGHT_SCORE = 0.91
"""From this score on a face of a video is taken as upright without another look. Upright ones have 0.92 to 0.95 unless
they are small, dark or in profile; those turned by 60 degrees or more were never seen above 0.90."""
_TURNS = np.arange(0.0, 360.0, 45.0)
_NEARBY = np.array([-24.0, -8.0, 8.0, 24.0])
"""Degrees around the best of `_TURNS`: half of what lies between two of them."""
_COARSE, _FINE = 96, 160
"""Sides in pixels of one cut-out face, to find its direction and its landmarks."""
_AROUND = {_COARSE: 2.0, _FINE: 1.8}
"""Sides of what is cut out, as multiples of the box's longer side."""
_OFF_CENTRE = 0.35
"""How far a face found again may be from the middle of its box, as a share of the box's longer side: beyond it is its
neighbour."""
_BETTER = 0.02
"""How much higher the score of a face turned by 45 degrees must be before it is turned: near upright the landmarks
found in the whole picture are the better ones."""
_AGREEING = 0.04
"""How much lower than the best the score of a try must be to have no say in where the landmarks are."""
_CLEAR = 0.03
"""How much lower the scores must be in directions that are 90 degrees and more away."""

Affine = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class UprightFaces:
    """Of the faces of one frame: landmarks float32 [n, 5, 2] in its pixels, which lie on eyes, nose and mouth whichever
    way up the face is · scores float32 [n] 0-1, of the upright face · known bool [n]: whether it can be told which way
    up it is."""

    landmarks: FloatArray
    scores: FloatArray
    known: BoolArray


def upright(finder: FaceFinder, frame: Frame, found: FoundFaces, asked: Sequence[bool]) -> UprightFaces:
    """Turns the faces of a frame upright; of those that are not `asked` for nothing changes. On a video those alone are
    examined whose score leaves it open (`UPRIGHT_SCORE`), of a photograph all."""
    landmarks, scores = found.landmarks.copy(), found.scores.copy()
    known = np.ones(len(found), np.bool_)
    enough = np.inf if frame.still else UPRIGHT_SCORE
    rows = [row for row, wanted in enumerate(asked) if wanted and found.scores[row] < enough]
    if not rows:
        return UprightFaces(landmarks, scores, known)
    image, turned = frame.host(), dict[int, float]()
    for row, tries in zip(rows, _tries(finder, image, found.boxes[rows], [_TURNS] * len(rows), _COARSE), strict=True):
        turn = _turn_of([one.score for one in tries])
        known[row] = turn is not None
        if turn:
            turned[row] = turn
    boxes, around = found.boxes[list(turned)], [turn + _NEARBY for turn in turned.values()]
    for row, tries in zip(turned, _tries(finder, image, boxes, around, _FINE), strict=True):
        scores[row] = max(one.score for one in tries)
        points = _agreed(tries)
        known[row] = points is not None
        if points is not None:
            landmarks[row] = points
    return UprightFaces(landmarks, scores, known)


@dataclass(frozen=True, slots=True, eq=False)
class _Try:
    """A face found again when it was turned; landmarks float32 [5, 2] in pixels of the frame, None if it was not."""

    score: float
    landmarks: FloatArray | None


def _turn_of(scores: Sequence[float]) -> float | None:
    """By how many degrees a face with these scores at `_TURNS` must be turned to be upright; None if that is open."""
    best = int(np.argmax(scores))
    count = len(scores)
    away = [score for n, score in enumerate(scores) if min((n - best) % count, (best - n) % count) >= count // 4]
    if scores[best] <= 0 or max(away) > scores[best] - _CLEAR:
        return None
    if best in (1, count - 1) and scores[best] - scores[0] < _BETTER:
        return 0.0
    return float(_TURNS[best])


def _agreed(tries: Sequence[_Try]) -> FloatArray | None:
    """The landmarks by all tries, each by how near its score is to the best: near upright the scores hardly differ,
    and what the detector puts too far to one side in one of them it puts to the other side in another."""
    found = [(one.score, one.landmarks) for one in tries if one.landmarks is not None]
    if not found:
        return None
    scores = np.array([score for score, _ in found])
    weights = np.clip(scores - (scores.max() - _AGREEING), 0, None)
    points: FloatArray = np.average([points for _, points in found], axis=0, weights=weights).astype(np.float32)
    return points


def _tries(
    finder: FaceFinder, image: Image, boxes: FloatArray, turns: Sequence[NDArray[np.float64]], side: int
) -> Iterator[list[_Try]]:
    """Each face of boxes [n, 4] turned by each of its `turns` (degrees). All turns of a face are looked at in one
    picture, beside each other."""
    sheets, ways = list[Image](), list[list[Affine]]()
    for box, degrees in zip(boxes, turns, strict=True):
        columns = int(np.ceil(np.sqrt(len(degrees))))
        rows = -(-len(degrees) // columns)
        sheet = np.zeros((rows * side, columns * side, 3), np.uint8)
        ways.append([_way(box, turn, side) for turn in degrees.tolist()])
        for n, way in enumerate(ways[-1]):
            top, left = n // columns * side, n % columns * side
            sheet[top : top + side, left : left + side] = cv2.warpAffine(
                image, way, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
        sheets.append(sheet)
    for found, of_face in zip(finder.find_within(sheets), ways, strict=True):
        columns = int(np.ceil(np.sqrt(len(of_face))))
        yield [
            _found_again(found, way, (n % columns * side, n // columns * side), side) for n, way in enumerate(of_face)
        ]


def _way(box: FloatArray, degrees: float, side: int) -> Affine:
    """From pixels of the frame to those of a cut-out face that is turned clockwise."""
    centre, reach = (box[:2] + box[2:]) / 2, max(float((box[2:] - box[:2]).max()), 1.0) * _AROUND[side]
    angle = np.radians(degrees)
    cosine, sine = np.cos(angle) * side / reach, np.sin(angle) * side / reach
    turn = np.array([[cosine, -sine], [sine, cosine]])
    return np.column_stack((turn, side / 2 - turn @ centre))


def _found_again(found: FoundFaces, way: Affine, corner: tuple[int, int], side: int) -> _Try:
    middles = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2 - corner
    near = np.abs(middles - side / 2).max(axis=1, initial=0) <= _OFF_CENTRE * side / _AROUND[side]
    if not near.any():
        return _Try(0.0, None)
    best = int(np.flatnonzero(near)[found.scores[near].argmax()])
    points = found.landmarks[best] - np.array(corner, np.float32)
    back = cv2.invertAffineTransform(way)
    return _Try(float(found.scores[best]), (points @ back[:, :2].T + back[:, 2]).astype(np.float32))
