"""What the detector redacts: objects of some classes, by their mask if they have one, otherwise by their box."""

from __future__ import annotations

import math

import cv2
import numpy as np

from sightd.plugins.api import BoolArray, FloatArray, Frame, PrivacyMask
from sightd.plugins.detector.shaped import Shaped

_MARGIN = 0.06
"""Masks are redacted with this margin, as a share of the mask's longer side: hair, hands and bags are at their edge."""
_DOUBTFUL = 0.15
"""A mask that covers a smaller share of its box has probably missed the object: the whole box is redacted."""


def privacy_mask(found: Shaped, class_ids: frozenset[int], frame: Frame, most: int) -> PrivacyMask:
    """Returns what to redact on a frame: all objects of these classes. The whole frame if `most` objects were found,
    because then others may have been left out."""
    if len(found) >= most:
        return PrivacyMask.all_of(frame)
    rows = np.flatnonzero(np.isin(found.detections.class_ids, list(class_ids)))
    boxes: list[FloatArray] = []
    crops: list[BoolArray | None] = []
    for row in rows.tolist():
        box, crop = found.detections.boxes[row], None if found.masks is None else found.masks.crops[row]
        if crop is None or not crop.size or crop.mean() < _DOUBTFUL:
            boxes.append(box)
            crops.append(None)
            continue
        wider, dilated = _widened(box, crop, frame)
        boxes.append(wider)
        crops.append(dilated)
    return PrivacyMask(np.array(boxes, np.float32).reshape(-1, 4), tuple(crops))


def _widened(box: FloatArray, crop: BoolArray, frame: Frame) -> tuple[FloatArray, BoolArray]:
    """Returns box and mask with the margin around the mask, within the frame."""
    margin = math.ceil(_MARGIN * max(crop.shape))
    height, width = crop.shape
    cell = (box[2:] - box[:2]) / np.array((width, height), np.float32)
    room = np.concatenate((box[:2] / cell, (np.array((frame.width, frame.height)) - box[2:]) / cell))
    left, top, right, bottom = np.clip(np.floor(room), 0, margin).astype(int).tolist()
    wide = np.pad(crop.astype(np.uint8), ((top, bottom), (left, right)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin + 1, 2 * margin + 1))
    grown = np.array((-left, -top, right, bottom), np.float32) * np.tile(cell, 2)
    dilated = np.asarray(cv2.dilate(wide, disc), np.bool_)
    return (box + grown).astype(np.float32), dilated
