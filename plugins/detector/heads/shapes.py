"""Reads masks and keypoints of the boxes that are reported, from the outputs of segmentation and pose models.

- Masks of the YOLO family: coefficients c [m] after the class of each row, and prototypes P [b, m, h, w] that cover the
  model's input: mask = sigmoid(c · P) (Bolya et al. 2019, "YOLACT", arXiv 1904.02689).
- RF-DETR: `masks` [b, n, h, w], one for each query, logits that cover the model's input.
- Keypoints of the YOLO family: x, y in pixels of the input and, if there are three values, visibility (after the
  sigmoid), after the class scores of each row.

A logit above 0 is inside. Logits are sampled bilinearly within the box, as upscaling them to the input would.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sightd.engines.heads import ROUNDING, WRONG_HEAD
from sightd.engines.model import InputSpec, Model
from sightd.engines.preprocess import Geometry
from sightd.engines.session import Tensor
from sightd.plugins.api import BoolArray, FloatArray, IntArray, Keypoints, Masks, PluginError
from sightd.plugins.api.shapes import most_cells
from sightd.plugins.detector.heads.decoding import mismatch

_WITH_COEFFICIENTS = ("yolo", "yolov5", "yolo-end-to-end")


@dataclass(frozen=True, slots=True, eq=False)
class ReportedBoxes:
    """The boxes of one image that are reported: xyxy float32 [n, 4] in pixels of the image, and their rows int64 [n] in
    the model's output. `picture` is the image's number in the batch."""

    picture: int
    boxes: FloatArray
    rows: IntArray
    geometry: Geometry

    @property
    def size(self) -> tuple[int, int]:
        return self.geometry.source_width, self.geometry.source_height


class ShapeReader:
    """Reads what a model finds besides boxes. Pure and thread-safe."""

    def __init__(self, model: Model, outputs: Mapping[str, object]) -> None:
        """`outputs` are the names and specifications of the session's outputs."""
        self._model = model
        self.keypoints = model.keypoints is not None
        planes = [name for name, spec in outputs.items() if len(getattr(spec, "shape", ())) == 4]
        has_planes = model.head == "rf-detr" or (model.head in _WITH_COEFFICIENTS and model.extra_columns > 0)
        self._table = next((name for name, spec in outputs.items() if len(getattr(spec, "shape", ())) == 3), "")
        self._planes = planes[0] if planes and has_planes and not self.keypoints else ""

    @property
    def masks(self) -> bool:
        return bool(self._planes)

    def outputs(self, *, masks: bool, keypoints: bool) -> dict[str, bool]:
        """Returns which outputs are needed to read these: by name, and whether only the rows of the reported boxes."""
        if masks and self._planes and self._model.head == "rf-detr":
            return {self._planes: True}
        needed = {self._planes, self._table} if masks and self._planes else set()
        needed |= {self._table} if keypoints and self.keypoints else set()
        return dict.fromkeys(sorted(needed), False)

    def masks_of(self, outputs: Mapping[str, Tensor], reported: ReportedBoxes) -> Masks:
        """Returns the masks of the reported boxes. Raises PluginError if the outputs do not match."""
        model, spec = self._model, self._model.input
        if not len(reported.rows):
            return Masks.none(reported.boxes, reported.size)
        planes = outputs[self._planes]
        if model.head == "rf-detr":
            if planes.ndim != 4 or reported.rows.max() >= planes.shape[1]:
                raise mismatch(model.head, outputs)
            logits: list[FloatArray] = [planes[reported.picture, row] for row in reported.rows.tolist()]
            return _masks(logits, reported, spec)
        columns = self._columns(outputs, reported)
        if planes.ndim != 4 or planes.shape[1] != columns.shape[1]:
            raise mismatch(model.head, outputs)
        return _masks_of_prototypes(planes[reported.picture], columns, reported, spec)

    def keypoints_of(self, outputs: Mapping[str, Tensor], reported: ReportedBoxes) -> Keypoints:
        """Returns the keypoints of the reported boxes. Raises PluginError if their visibility is no probability."""
        described = self._model.keypoints
        assert described is not None
        if not len(reported.rows):
            none = np.zeros((0, len(described.names), 2), np.float32)
            return Keypoints(none, none[..., 0], described.names, described.skeleton)
        values = self._columns(outputs, reported).reshape(-1, len(described.names), described.values)
        points = reported.geometry.points_to_source(values[..., :2])
        scores = values[..., 2] if described.values == 3 else np.ones(values.shape[:2], np.float32)
        if not np.isfinite(values).all() or scores.min(initial=0) < -ROUNDING or scores.max(initial=0) > 1 + ROUNDING:
            raise PluginError(f"head {self._model.head!r}: the visibility of keypoints is not 0 to 1: {WRONG_HEAD}")
        return Keypoints(points, np.clip(scores, 0, 1), described.names, described.skeleton)

    def _columns(self, outputs: Mapping[str, Tensor], reported: ReportedBoxes) -> FloatArray:
        """Returns the values after the class of each reported box, float32 [n, extra]."""
        extra = self._model.extra_columns
        rows = outputs[self._table][reported.picture]
        if self._model.head == "yolo" and rows.shape[0] == 4 + len(self._model.labels) + extra:
            rows = rows.T
        columns: FloatArray = rows[reported.rows, -extra:].astype(np.float32)
        return columns


@dataclass(frozen=True, slots=True)
class _Window:
    """The part of planes [h, w] that a box needs: rows and columns, the matrix from cells of the crop to them, and the
    crop's (width, height)."""

    rows: slice
    columns: slice
    matrix: NDArray[np.float64]
    cells: tuple[int, int]


def _window(box: FloatArray, planes: tuple[int, int], geometry: Geometry, spec: InputSpec, most: int) -> _Window:
    """`box` is in pixels of the image. The crop has a cell for each pixel of the input, up to `most` each way."""
    scale = np.array((geometry.scale_x, geometry.scale_y))
    offset = np.array((geometry.offset_x, geometry.offset_y))
    low, high = box[:2].astype(np.float64) * scale + offset, box[2:].astype(np.float64) * scale + offset
    cells = np.clip(np.ceil(high - low - 1e-3), 1, most)
    to_planes = np.array((planes[1] / spec.width, planes[0] / spec.height))
    step = (high - low) / cells * to_planes
    begin = low * to_planes + step / 2 - 0.5
    limit = np.array((planes[1], planes[0]))
    first = np.clip(np.floor(begin), 0, limit - 1).astype(int)
    end = np.clip(np.ceil(begin + step * (cells - 1)) + 1, first + 1, limit).astype(int)
    matrix = np.array([[step[0], 0, begin[0] - first[0]], [0, step[1], begin[1] - first[1]]])
    return _Window(slice(first[1], end[1]), slice(first[0], end[0]), matrix, (int(cells[0]), int(cells[1])))


def _sampled(logits: FloatArray, window: _Window) -> BoolArray:
    sampled = cv2.warpAffine(
        np.ascontiguousarray(logits, np.float32),
        window.matrix,
        window.cells,
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(sampled > 0, np.bool_)


def _masks(logits: list[FloatArray], reported: ReportedBoxes, spec: InputSpec) -> Masks:
    most, crops = most_cells(len(logits)), []
    for plane, box in zip(logits, reported.boxes, strict=True):
        window = _window(box, (plane.shape[0], plane.shape[1]), reported.geometry, spec, most)
        crops.append(_sampled(plane[window.rows, window.columns], window))
    return Masks(reported.boxes, tuple(crops), reported.size)


def _masks_of_prototypes(planes: Tensor, columns: FloatArray, reported: ReportedBoxes, spec: InputSpec) -> Masks:
    """Multiplies coefficients [n, m] and prototypes [m, h, w] within each box only."""
    most, crops = most_cells(len(columns)), []
    for coefficients, box in zip(columns, reported.boxes, strict=True):
        window = _window(box, (planes.shape[1], planes.shape[2]), reported.geometry, spec, most)
        part = planes[:, window.rows, window.columns].astype(np.float32, copy=False)
        crops.append(_sampled(np.tensordot(coefficients, part, axes=1), window))
    return Masks(reported.boxes, tuple(crops), reported.size)
