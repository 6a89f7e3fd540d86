"""Combines a painting with its frame: upscaling from the working size, and the mask of the painted area.

The upscaling follows the frame's own edges: a fast guided filter (He and Sun 2015, arXiv 1505.00996). Within a small
window the painting is modelled as a linear function of the image's grey level. The two coefficients are upscaled and
applied to the full-size image. Strokes are preserved and edges become sharp.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from sightd.plugins.api import BoolArray, Detections, Faces, FloatArray, Frame, Image, Masks, Results, Tracks
from sightd.plugins.api.shapes import drawn_crop
from sightd.plugins.style.config import Where

_WINDOW = (5, 5)
_SMOOTH = 60.0
"""Variance of grey levels below which the image has no edge to follow."""


def enlarged(paint: FloatArray, source: Image, grey_small: Image) -> FloatArray:
    """Returns float32 [H, W, 3] 0-255 in the size of `source` (BGR uint8). `paint` float32 [h, w, 3] and `grey_small`
    uint8 [h, w] have the working size."""
    height, width = source.shape[:2]
    if paint.shape[:2] == (height, width):
        return paint
    planes = strokes(paint, grey_small)
    large = np.asarray(cv2.cvtColor(source, cv2.COLOR_BGR2GRAY), np.float32)[:, :, None]
    slope, offset = (cv2.resize(part, (width, height)) for part in (planes[:, :, :3], planes[:, :, 3:]))
    result: FloatArray = slope * large + offset
    return np.clip(result, 0, 255, out=result)


def strokes(paint: FloatArray, grey_small: Image) -> FloatArray:
    """Fits the painting as a linear function of grey: float32 [h, w, 6], the slopes of blue, green and red, then their
    offsets (0-255), to be upscaled."""
    guide = grey_small.astype(np.float32)
    mean_guide, mean = _blurred(guide), _blurred(paint)
    variance = _blurred(guide * guide) - mean_guide * mean_guide
    shared = _blurred(np.asarray(guide[:, :, None] * paint, np.float32)) - mean_guide[:, :, None] * mean
    slope = np.asarray(shared / (variance + np.float32(_SMOOTH))[:, :, None], np.float32)
    offset = mean - slope * mean_guide[:, :, None]
    rest = paint - (slope * guide[:, :, None] + offset)  # strokes, which the image does not explain
    return np.concatenate((_blurred(slope), _blurred(offset) + rest), axis=2)


def _blurred(image: FloatArray) -> FloatArray:
    blurred: FloatArray = cv2.blur(image, _WINDOW)  # type: ignore[assignment]
    return blurred


def cover_of(where: Where | None, frame: Frame, results: Results) -> FloatArray | None:
    """Returns float32 [height, width, 1]: 1 where the painting shows, 0 where the frame does; None means all."""
    if where is None:
        return None
    mask = np.zeros((frame.height, frame.width), np.uint8)
    for box, crop in _areas(where, results):
        drawn = None if crop is None else drawn_crop(crop, box, (frame.width, frame.height))
        if drawn is not None:
            height, width = drawn.inside.shape
            mask[drawn.top : drawn.top + height, drawn.left : drawn.left + width][drawn.inside] = 255
        else:
            _ellipse(mask, box.tolist(), face=where.faces and not where.classes)
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


def _areas(where: Where, results: Results) -> Iterator[tuple[FloatArray, BoolArray | None]]:
    """Yields the boxes xyxy of what is selected, each with its mask if it has one."""
    wanted = {name.casefold() for name in where.classes}
    tracks = results.get(Tracks)
    found = results.get(Detections) if tracks is None else tracks
    masks = results.get(Masks) if tracks is None else tracks.masks
    crops = () if masks is None or not where.masks else masks.crops
    if wanted and found is not None:
        for row, class_id in enumerate(found.class_ids.tolist()):
            if found.labels[class_id].casefold() in wanted:
                yield found.boxes[row], crops[row] if crops and crops[row].size else None
    faces = results.get(Faces)
    if where.faces and faces is not None:
        for box in faces.boxes:
            yield box, None


def _ellipse(mask: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], box: Sequence[float], *, face: bool) -> None:
    """Fills an ellipse, as box corners are usually background; slightly larger, for arms and hair."""
    if not np.isfinite(box).all():
        return
    x1, y1, x2, y2 = box
    larger = 1.35 if face else 1.15
    centre = round((x1 + x2) / 2), round((y1 + y2) / 2)
    axes = max(1, round((x2 - x1) / 2 * larger)), max(1, round((y2 - y1) / 2 * larger))
    cv2.ellipse(mask, centre, axes, 0, 0, 360, 255, cv2.FILLED)
