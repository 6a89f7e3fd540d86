"""Finds the orientation of faces, and their landmarks when turned upright.

A detector also finds rotated faces, but places the landmarks as if they were upright: the eyes of an upside-down face
end up on its mouth. An embedding of such a face says little about the person, and rotated faces of different people
look alike to the embedder. The landmarks do not reveal it, but the detector's score does: it is highest when the face
is upright. So a face with a score too low for an upright face is cropped in eight rotations and detected again in the
one with the highest score.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sightd.plugins.api import BoolArray, FloatArray, Frame, Image
from sightd.plugins.face.detector import DetectedFaces, FaceDetector

UPRIGHT_SCORE = 0.91
"""Score from which a face of a video is assumed to be upright. Upright ones have 0.92 to 0.95 unless they are small,
dark or in profile; those rotated by 60 degrees or more were never seen above 0.90."""
_TURNS = np.arange(0.0, 360.0, 45.0)
_NEARBY = np.array([-24.0, -8.0, 8.0, 24.0])
"""Degrees around the best of `_TURNS`: half of the interval between two of them."""
_COARSE, _FINE = 96, 160
"""Sides in pixels of one crop, to find the rotation and then the landmarks."""
_AROUND = {_COARSE: 2.0, _FINE: 1.8}
"""Side of the cropped region, as a multiple of the box's longer side."""
_OFF_CENTRE = 0.35
"""How far a re-detected face may be from the box's centre, as a share of the box's longer side; beyond, it is another
face."""
_BETTER = 0.02
"""How much higher the score at a rotation of 45 degrees must be before the face is rotated: near upright, the landmarks
found in the whole frame are better."""
_AGREEING = 0.04
"""How far below the best score an attempt loses all influence on the landmarks."""
_CLEAR = 0.03
"""How much lower the scores must be at rotations that are 90 degrees or more away."""
_SOUND = 0.8
"""Score of a face that is taken as it was found if the rotations show nothing: in masks, it is lost in small crops."""

Affine = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class UprightFaces:
    """The faces of one frame: landmarks float32 [n, 5, 2] in its pixels, on eyes, nose and mouth whatever the rotation
    of the face · scores float32 [n] 0-1, of the upright face · known bool [n]: whether the rotation is known."""

    landmarks: FloatArray
    scores: FloatArray
    known: BoolArray


def upright(face_detector: FaceDetector, frame: Frame, found: DetectedFaces, asked: Sequence[bool]) -> UprightFaces:
    """Turns the faces of a frame upright; those not `asked` for stay as they are. On a video, only faces with a score
    below `UPRIGHT_SCORE` are examined; on a photograph, all."""
    landmarks, scores = found.landmarks.copy(), found.scores.copy()
    known = np.ones(len(found), np.bool_)
    enough = np.inf if frame.still else UPRIGHT_SCORE
    rows = [row for row, wanted in enumerate(asked) if wanted and found.scores[row] < enough]
    if not rows:
        return UprightFaces(landmarks, scores, known)
    image, turned = frame.host(), dict[int, float]()
    for row, tries in zip(
        rows, _tries(face_detector, image, found.boxes[rows], [_TURNS] * len(rows), _COARSE), strict=True
    ):
        attempts = [one.score for one in tries]
        turn = _turn_of(attempts)
        known[row] = turn is not None or _as_found(attempts, float(found.scores[row]))
        if turn:
            turned[row] = turn
    boxes, around = found.boxes[list(turned)], [turn + _NEARBY for turn in turned.values()]
    for row, tries in zip(turned, _tries(face_detector, image, boxes, around, _FINE), strict=True):
        scores[row] = max(one.score for one in tries)
        points = _agreed(tries)
        known[row] = points is not None
        if points is not None:
            landmarks[row] = points
    return UprightFaces(landmarks, scores, known)


@dataclass(frozen=True, slots=True, eq=False)
class _Try:
    """One re-detection of a rotated face; landmarks float32 [5, 2] in pixels of the frame, None if not found."""

    score: float
    landmarks: FloatArray | None


def _turn_of(scores: Sequence[float]) -> float | None:
    """Returns how many degrees a face with these scores at `_TURNS` must be rotated; None if unclear."""
    best = int(np.argmax(scores))
    count = len(scores)
    away = [score for n, score in enumerate(scores) if min((n - best) % count, (best - n) % count) >= count // 4]
    if scores[best] <= 0 or max(away) > scores[best] - _CLEAR:
        return None
    if best in (1, count - 1) and scores[best] - scores[0] < _BETTER:
        return 0.0
    return float(_TURNS[best])


def _as_found(scores: Sequence[float], score: float) -> bool:
    """Returns whether an unclear face counts as upright: one found with that score, if nothing speaks for another
    rotation."""
    best = int(np.argmax(scores))
    if not scores[best]:
        return score >= _SOUND
    return best in (0, 1, len(scores) - 1) and scores[best] > scores[len(scores) // 2]


def _agreed(tries: Sequence[_Try]) -> FloatArray | None:
    """Averages the landmarks of all attempts, weighted by how close each score is to the best: near upright the scores
    hardly differ, and errors to one side in one attempt are balanced by errors to the other side in another."""
    found = [(one.score, one.landmarks) for one in tries if one.landmarks is not None]
    if not found:
        return None
    scores = np.array([score for score, _ in found])
    weights = np.clip(scores - (scores.max() - _AGREEING), 0, None)
    points: FloatArray = np.average([points for _, points in found], axis=0, weights=weights).astype(np.float32)
    return points


def _tries(
    face_detector: FaceDetector, image: Image, boxes: FloatArray, turns: Sequence[NDArray[np.float64]], side: int
) -> Iterator[list[_Try]]:
    """Yields for each face of boxes [n, 4] its re-detections, rotated by each of its `turns` (degrees). All rotations
    of a face are placed side by side in one image."""
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
    for found, of_face in zip(face_detector.find_within(sheets), ways, strict=True):
        columns = int(np.ceil(np.sqrt(len(of_face))))
        yield [
            _found_again(found, way, (n % columns * side, n // columns * side), side) for n, way in enumerate(of_face)
        ]


def _way(box: FloatArray, degrees: float, side: int) -> Affine:
    """Returns the transform from pixels of the frame to those of a crop rotated clockwise."""
    centre, reach = (box[:2] + box[2:]) / 2, max(float((box[2:] - box[:2]).max()), 1.0) * _AROUND[side]
    angle = np.radians(degrees)
    cosine, sine = np.cos(angle) * side / reach, np.sin(angle) * side / reach
    turn = np.array([[cosine, -sine], [sine, cosine]])
    return np.column_stack((turn, side / 2 - turn @ centre))


def _found_again(found: DetectedFaces, way: Affine, corner: tuple[int, int], side: int) -> _Try:
    middles = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2 - corner
    near = np.abs(middles - side / 2).max(axis=1, initial=0) <= _OFF_CENTRE * side / _AROUND[side]
    if not near.any():
        return _Try(0.0, None)
    best = int(np.flatnonzero(near)[found.scores[near].argmax()])
    points = found.landmarks[best] - np.array(corner, np.float32)
    back = cv2.invertAffineTransform(way)
    return _Try(float(found.scores[best]), (points @ back[:, :2].T + back[:, 2]).astype(np.float32))
