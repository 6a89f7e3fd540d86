"""Tracks of a frame: the points on which they stand, and the names of known persons."""

from __future__ import annotations

import numpy as np

from sightd.plugins.api import Faces, FloatArray, Tracks, label_of
from sightd.plugins.geometry.regions import standing_points
from sightd.plugins.zones.state import Sighting

_PERSON = "person"
_HEAD = 0.5
"""A face belongs to a person if its centre is in this upper share of the person's box."""


def sightings_of(tracks: Tracks, faces: Faces | None, size: tuple[int, int]) -> list[Sighting]:
    """Returns the tracks of a frame of `size` (width, height), with the names of persons whose face is known."""
    points = standing_points(tracks.boxes, *size) * size
    sides = tracks.boxes[:, 2:] - tracks.boxes[:, :2]
    sizes = np.sqrt(np.maximum(sides[:, 0] * sides[:, 1], 0))
    labels = [label_of(tracks.labels, class_id) for class_id in tracks.class_ids.tolist()]
    names = _names(tracks.boxes, labels, faces)
    rows = zip(
        tracks.ids.tolist(), labels, points.tolist(), sizes.tolist(), tracks.ages.tolist(),
        (tracks.detection >= 0).tolist(), strict=True,
    )  # fmt: skip
    return [
        Sighting(track, label, (x, y), side, age, names.get(row), observed)
        for row, (track, label, (x, y), side, age, observed) in enumerate(rows)
        if np.isfinite([x, y, side]).all()
    ]


def _names(boxes: FloatArray, labels: list[str], faces: Faces | None) -> dict[int, str]:
    """Returns the names of persons by row: each known face belongs to the smallest person whose head it can be."""
    found: dict[int, str] = {}
    if faces is None or not any(faces.identities):
        return found
    heads = boxes.copy()
    heads[:, 3] = boxes[:, 1] + _HEAD * (boxes[:, 3] - boxes[:, 1])
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    persons = np.array([label == _PERSON for label in labels], np.bool_)
    for box, name in zip(faces.boxes, faces.identities, strict=True):
        centre = (box[:2] + box[2:]) / 2
        rows = np.flatnonzero(persons & (heads[:, :2] <= centre).all(axis=1) & (centre <= heads[:, 2:]).all(axis=1))
        if name is not None and len(rows):
            found[int(rows[np.argmin(areas[rows])])] = name
    return found
