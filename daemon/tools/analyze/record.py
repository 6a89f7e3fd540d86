"""Formats what was found on a frame as a line of JSON."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from sightd.daemon.tools.media import Item
from sightd.plugins.api import Classification, Detections, Faces, FloatArray, Results, Tracks, label_of


def record(item: Item, results: Results, *, embeddings: bool = False) -> dict[str, Any]:
    """Returns the frame's record: boxes are xyxy in pixels of the source, scores 0-1. `embeddings` adds those of
    faces."""
    frame = item.frame
    found: dict[str, Any] = {
        "source": item.source,
        "frame": frame.seq,
        "pts": None if frame.pts is None else round(frame.pts, 6),
        "width": frame.width,
        "height": frame.height,
    }
    detections = results.get(Detections)
    if detections is not None:
        found["detections"] = _detections(detections, results.get(Tracks))
    classified = results.get(Classification)
    if classified is not None:
        _classified(classified, found)
    faces = results.get(Faces)
    if faces is not None:
        found["faces"] = [_face(faces, row, embeddings) for row in range(len(faces))]
    return found


def line(item: Item, results: Results, *, embeddings: bool = False) -> str:
    r"""Returns the record as JSON in UTF-8. Bytes of a file name that are not UTF-8 are escaped: "\xfc" becomes
    "\udcfc", which Python's `os.fsencode` turns back into the name."""
    found = record(item, results, embeddings=embeddings)
    text = json.dumps(found, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace").decode()


def _detections(detections: Detections, tracks: Tracks | None) -> list[dict[str, Any]]:
    track_of = {} if tracks is None else dict(zip(tracks.detection.tolist(), tracks.ids.tolist(), strict=True))
    return [
        {
            "box": [round(side, 2) for side in box],
            "score": round(score, 5),
            "class": label_of(detections.labels, class_id),
            "class_id": class_id,
            "track": track_of.get(row),
        }
        for row, (box, score, class_id) in enumerate(
            zip(detections.boxes.tolist(), detections.scores.tolist(), detections.class_ids.tolist(), strict=True)
        )
    ]


def _classified(classified: Classification, found: dict[str, Any]) -> None:
    """Adds classifications: that of the whole image to the record itself, that of an object to its detection."""
    for row, detection in enumerate(classified.detection.tolist()):
        likeliest = [
            {"label": label, "class_id": class_id, "score": round(score, 5)}
            for label, class_id, score in classified.of_row(row)
        ]
        if detection >= 0:
            found["detections"][detection]["classification"] = likeliest
        elif classified.tracks[row] < 0:
            found["classification"] = likeliest


def _face(faces: Faces, row: int, with_embedding: bool) -> dict[str, Any]:
    face: dict[str, Any] = {
        "box": [round(side, 2) for side in faces.boxes[row].tolist()],
        "score": round(float(faces.scores[row]), 5),
        "landmarks": [[round(x, 2), round(y, 2)] for x, y in faces.landmarks[row].tolist()],
        "quality": _number(faces.qualities[row : row + 1]),
        "track": None if faces.tracks[row] < 0 else int(faces.tracks[row]),
        "identity": faces.identities[row],
        "similarity": _number(faces.similarities[row : row + 1]),
        "margin": _number(faces.margins[row : row + 1]),
        "reason": faces.reasons[row],
    }
    if with_embedding:
        embedding = faces.embeddings[row]
        face["embedding"] = [round(value, 6) for value in embedding.tolist()] if np.isfinite(embedding).all() else None
    return face


def _number(of_row: FloatArray) -> float | None:
    """Returns the value, or None if it is not finite: JSON has no NaN."""
    value = float(of_row[0])
    return round(value, 5) if math.isfinite(value) else None
