"""Tracks of a frame: the points on which they stand, and the names of known persons."""

from __future__ import annotations

import numpy as np

from sightd.plugins.api import Faces, FloatArray, Tracks, label_of
from sightd.plugins.geometry.regions import persons_of_faces, standing_points
from sightd.plugins.zones.state import Sighting

_PERSON = "person"


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
    """Returns the names of persons by row."""
    if faces is None or not any(faces.identities):
        return {}
    persons = np.flatnonzero([label == _PERSON for label in labels])
    rows = persons_of_faces(faces.boxes, boxes[persons]).tolist()
    return {
        int(persons[row]): name
        for row, name in zip(rows, faces.identities, strict=True)
        if row >= 0 and name is not None
    }
