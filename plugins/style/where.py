"""The mask of the painted area, with soft edges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from sightd.plugins.style.config import Where
from sightd.plugins.types import Detections, Faces, FloatArray, Frame, Results, Tracks


def cover_of(where: Where | None, frame: Frame, results: Results) -> FloatArray | None:
    """Returns float32 [height, width, 1]: 1 where the painting shows, 0 where the frame does; None means all."""
    if where is None:
        return None
    mask = np.zeros((frame.height, frame.width), np.uint8)
    for box in _boxes(where, results):
        _ellipse(mask, box, face=where.faces and not where.classes)
    for polygon in where.polygons:
        corners = np.array(polygon, np.float64) * (frame.width, frame.height)
        cv2.fillPoly(mask, [np.rint(corners).astype(np.int32)], 255)
    cover = np.asarray(mask, np.float32) / np.float32(255)
    if where.inside is False:
        cover = np.float32(1) - cover
    sigma = where.soft * min(frame.width, frame.height)
    if sigma > 0:
        cover = np.asarray(cv2.GaussianBlur(cover, (0, 0), sigma), np.float32)
    return cover[:, :, None]


def _boxes(where: Where, results: Results) -> Iterator[Sequence[float]]:
    wanted = {name.casefold() for name in where.classes}
    tracks = results.get(Tracks)
    found = results.get(Detections) if tracks is None else tracks
    if wanted and found is not None:
        for box, class_id in zip(found.boxes.tolist(), found.class_ids.tolist(), strict=True):
            if found.labels[class_id].casefold() in wanted:
                yield box
    faces = results.get(Faces)
    if where.faces and faces is not None:
        yield from faces.boxes.tolist()


def _ellipse(mask: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], box: Sequence[float], *, face: bool) -> None:
    """Fills an ellipse, as box corners are usually background; slightly larger, for arms and hair."""
    if not np.isfinite(box).all():
        return
    x1, y1, x2, y2 = box
    larger = 1.35 if face else 1.15
    centre = round((x1 + x2) / 2), round((y1 + y2) / 2)
    axes = max(1, round((x2 - x1) / 2 * larger)), max(1, round((y2 - y1) / 2 * larger))
    cv2.ellipse(mask, centre, axes, 0, 0, 360, 255, cv2.FILLED)
