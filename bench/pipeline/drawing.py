"""Draws boxes and labels the way tutorials do."""

from __future__ import annotations

import cv2

from sightd.plugins.api import Detections, Image

_SHOWN_FROM = 0.4
_GREEN = (0, 220, 0)


def draw(image: Image, found: Detections) -> None:
    """Draws into `image`, BGR, in place."""
    for box, score, class_id in zip(found.boxes, found.scores, found.class_ids, strict=True):
        if score < _SHOWN_FROM:
            continue
        left, top, right, bottom = (int(edge) for edge in box)
        cv2.rectangle(image, (left, top), (right, bottom), _GREEN, 2)
        text = f"{found.labels[class_id]} {score:.2f}"
        cv2.putText(image, text, (left, top - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.6, _GREEN, 2, cv2.LINE_AA)
