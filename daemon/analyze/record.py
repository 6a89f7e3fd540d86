"""What was found on a frame as a line of JSON."""

from __future__ import annotations

import json
from typing import Any

from daemon.analyze.media import Item
from plugins.types import Detections, Results, Tracks, label_of


def record(item: Item, results: Results) -> dict[str, Any]:
    """The frame's record: boxes are xyxy in pixels of the source, scores 0-1."""
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
    return found


def line(item: Item, results: Results) -> str:
    return json.dumps(record(item, results), separators=(",", ":"), ensure_ascii=False)


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
