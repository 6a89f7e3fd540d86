"""Masks, keypoints and oriented boxes of tracks: those of the last detection that had some, moved with the box."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sightd.plugins.api import Detections, FloatArray, IntArray, Keypoints, Masks, OrientedBoxes, Results, Tracks


@dataclass(frozen=True, slots=True, eq=False)
class TrackShapes:
    """The shapes of tracks by id int64 [n], as last seen: boxes xyxy float32 [n, 4], and row by row masks,
    keypoints and oriented boxes; None if the detector finds none."""

    ids: IntArray
    boxes: FloatArray
    masks: Masks | None
    keypoints: Keypoints | None
    oriented: OrientedBoxes | None

    def rows_of(self, ids: IntArray) -> IntArray:
        """Returns the row of each id, -1 if it has none."""
        row_of = {number: row for row, number in enumerate(self.ids.tolist())}
        return np.array([row_of.get(number, -1) for number in ids.tolist()], np.int64)


def updated(
    before: TrackShapes | None,
    ids: IntArray,
    detection: IntArray,
    found: Detections,
    results: Results,
) -> TrackShapes | None:
    """Returns the shapes after a frame for the tracks with these ids [n]; `detection` [n] is each one's row in the
    detections `found` and the shapes of the frame's `results`, or -1."""
    masks, keypoints, oriented = results.get(Masks), results.get(Keypoints), results.get(OrientedBoxes)
    if masks is None and keypoints is None and oriented is None:
        return None
    known = np.full(len(ids), -1, np.int64) if before is None else before.rows_of(ids)
    seen = detection >= 0
    kept = seen | (known >= 0)
    ids, detection, known, seen = ids[kept], detection[kept], known[kept], seen[kept]
    boxes = np.zeros((len(ids), 4), np.float32)
    boxes[seen] = found.boxes[detection[seen]]
    if before is not None:
        boxes[~seen] = before.boxes[known[~seen]]
    return TrackShapes(
        ids,
        boxes,
        None if masks is None else _masks(boxes, masks, before, detection, known),
        None if keypoints is None else _keypoints(keypoints, before, detection, known),
        None if oriented is None else _oriented(boxes, oriented, before, detection, known),
    )


def _masks(boxes: FloatArray, masks: Masks, before: TrackShapes | None, detection: IntArray, known: IntArray) -> Masks:
    """Uses an older mask if the newest detection has none."""
    crops = []
    older = None if before is None else before.masks
    for row, old in zip(detection.tolist(), known.tolist(), strict=True):
        is_new = row >= 0 and (masks.has(row) or older is None or old < 0)
        if is_new:
            crops.append(masks.crops[row])
        else:
            crops.append(Masks.none(boxes[:1], masks.size).crops[0] if older is None else older.crops[old])
    return Masks(boxes, tuple(crops), masks.size)


def _keypoints(keypoints: Keypoints, before: TrackShapes | None, detection: IntArray, known: IntArray) -> Keypoints:
    points = np.zeros((len(detection), *keypoints.points.shape[1:]), np.float32)
    scores = np.zeros(points.shape[:2], np.float32)
    seen = detection >= 0
    points[seen], scores[seen] = keypoints.points[detection[seen]], keypoints.scores[detection[seen]]
    older = None if before is None else before.keypoints
    if older is not None and older.names == keypoints.names:
        points[~seen], scores[~seen] = older.points[known[~seen]], older.scores[known[~seen]]
    return Keypoints(points, scores, keypoints.names, keypoints.skeleton)


def _oriented(
    boxes: FloatArray, oriented: OrientedBoxes, before: TrackShapes | None, detection: IntArray, known: IntArray
) -> OrientedBoxes:
    corners = OrientedBoxes.upright(boxes).corners
    seen = detection >= 0
    corners[seen] = oriented.corners[detection[seen]]
    if before is not None and before.oriented is not None:
        corners[~seen] = before.oriented.corners[known[~seen]]
    return OrientedBoxes(corners)


def with_shapes(tracks: Tracks, shapes: TrackShapes | None) -> Tracks:
    """Returns the tracks with their shapes, in their boxes."""
    if shapes is None:
        return tracks
    rows = shapes.rows_of(tracks.ids)
    has = rows >= 0
    masks, keypoints, oriented = shapes.masks, shapes.keypoints, shapes.oriented
    if masks is not None:
        empty = Masks.none(tracks.boxes, masks.size)
        crops = [masks.crops[row] if row >= 0 else empty.crops[n] for n, row in enumerate(rows.tolist())]
        masks = Masks(tracks.boxes, tuple(crops), masks.size)
    if keypoints is not None:
        points = np.zeros((len(tracks), *keypoints.points.shape[1:]), np.float32)
        scores = np.zeros(points.shape[:2], np.float32)
        moved = keypoints.select(rows[has]).moved(shapes.boxes[rows[has]], tracks.boxes[has])
        points[has], scores[has] = moved.points, moved.scores
        keypoints = Keypoints(points, scores, keypoints.names, keypoints.skeleton)
    if oriented is not None:
        corners = OrientedBoxes.upright(tracks.boxes).corners
        corners[has] = oriented.select(rows[has]).moved(shapes.boxes[rows[has]], tracks.boxes[has]).corners
        oriented = OrientedBoxes(corners)
    return replace(tracks, masks=masks, keypoints=keypoints, oriented=oriented)
