"""Detections with their masks, keypoints and oriented boxes, as they pass through the detector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightd.plugins.api import BoolArray, Detections, IntArray, Keypoints, Masks, OrientedBoxes, Results


@dataclass(frozen=True, slots=True, eq=False)
class Shaped:
    """The detections of one image, and row by row their masks, keypoints and oriented boxes; None if the model finds
    none."""

    detections: Detections
    masks: Masks | None = None
    keypoints: Keypoints | None = None
    oriented: OrientedBoxes | None = None

    def __len__(self) -> int:
        return len(self.detections)

    def select(self, keep: IntArray | BoolArray) -> Shaped:
        """Returns the rows selected by `keep`: a boolean mask [n] or indices."""
        return Shaped(
            self.detections.select(keep),
            None if self.masks is None else self.masks.select(keep),
            None if self.keypoints is None else self.keypoints.select(keep),
            None if self.oriented is None else self.oriented.select(keep),
        )

    def results(self) -> Results:
        parts = (self.detections, self.masks, self.keypoints, self.oriented)
        return Results(*(part for part in parts if part is not None))


def resampled(crop: BoolArray, box: NDArray[np.floating], target: NDArray[np.floating], most: int) -> BoolArray:
    """Returns a mask stretched over `box` as one over `target` (both xyxy), with cells of about the same size, at most
    `most` each way. What is outside of `box` is False."""
    size, wanted = box[2:] - box[:2], target[2:] - target[:2]
    if not crop.size or not (size > 0).all() or not (wanted > 0).all():
        return np.zeros((0, 0), np.bool_)
    shape = np.array(crop.shape[::-1])
    cells = np.clip(np.ceil(shape * wanted / size - 1e-3), 1, most).astype(int)
    columns, across = _cells(target[0], wanted[0], cells[0], box[0], size[0], shape[0])
    rows, down = _cells(target[1], wanted[1], cells[1], box[1], size[1], shape[1])
    found: BoolArray = crop[np.ix_(rows, columns)] & down[:, None] & across
    return found


def _cells(
    begin: float, length: float, cells: int, source_begin: float, source_length: float, source_cells: int
) -> tuple[IntArray, BoolArray]:
    """Returns for each cell of a span the cell of another that holds its centre, and whether one does."""
    centres = begin + (np.arange(cells) + 0.5) * (length / cells)
    index = np.floor((centres - source_begin) * (source_cells / source_length)).astype(np.int64)
    return np.clip(index, 0, source_cells - 1), (index >= 0) & (index < source_cells)
