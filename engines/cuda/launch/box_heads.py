"""Layouts of the heads whose boxes need no grid: all are read by `decode_boxes` of detect.cu, in place and whatever the
order of their axes.

The formats are those that the CPU decoders document. Boxes and scores are float32 or float16; labels and counts may
also be int64 or int32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from sightd.engines.cuda.launch.device import blocks
from sightd.engines.cuda.launch.heads import (
    DeviceTensor,
    HeadLayout,
    HeadMismatchError,
    Outputs,
    mismatch,
    probed_rows,
)
from sightd.engines.cuda.launch.layout import BOX_HEAD, record
from sightd.engines.heads import HEAD_FORMATS, probe_every
from sightd.engines.model import InputSpec

_COLUMNS_PER_THREAD = 8
_FLOATS = (np.dtype(np.float32), np.dtype(np.float16))
_ELEMENTS = (*_FLOATS, np.dtype(np.int64), np.dtype(np.int32))
"""Element types, in the order of the kernel's `Element`."""


class BoxForm(IntEnum):
    """The columns of boxes; the kernel's `BoxForm`."""

    CORNERS = 0
    """x1, y1, x2, y2"""
    CORNERS_YX = 1
    """y1, x1, y2, x2"""
    CENTRE_SIZE = 2
    """x, y of the centre, width, height"""


class Table(NamedTuple):
    """The struct `Table`; without arguments, that of a tensor which does not exist."""

    tensor: int = 0
    element: int = 0
    picture_length: int = 0
    row_length: int = 0
    column_length: int = 0


_NONE = Table()


@dataclass(frozen=True, slots=True, eq=False)
class _Parts:
    """The parts of a head's outputs for `batch` images of `rows` boxes. `columns` are those of the scores. `pixels` is
    False if boxes are fractions of the model's input."""

    batch: int
    rows: int
    columns: int
    boxes: Table
    scores: Table
    objectness: Table = _NONE
    labels: Table = _NONE
    counted: Table = _NONE
    angles: Table = _NONE
    first_class: int = 0
    form: BoxForm = BoxForm.CORNERS
    pixels: bool = True
    sigmoid: bool = False


@dataclass(frozen=True, slots=True)
class _Reader:
    """Finds the parts of a head's outputs. `classes` is the number of labels, `ignored` the number of columns after
    those that are read."""

    head: str
    outputs: Outputs
    classes: int
    ignored: int

    def mismatch(self) -> HeadMismatchError:
        return mismatch(self.head, HEAD_FORMATS[self.head].outputs, self.outputs)

    def require_classes(self, scored: int) -> None:
        if scored != self.classes:
            raise HeadMismatchError(
                f"head {self.head!r}: the model scores {scored} classes, but there are {self.classes} labels"
            )

    def only(self) -> DeviceTensor:
        """Returns the only output with three axes: prototypes of masks have four."""
        tensors = [tensor for tensor in self.outputs.values() if len(tensor.shape) == 3]
        if len(tensors) != 1:
            raise self.mismatch()
        return tensors[0]

    def named(self, *names: str, otherwise: Sequence[str] = ()) -> list[DeviceTensor]:
        """Returns the outputs of these names, which TensorFlow's exporter ends in ":0", or else those of the others."""
        plain = {name.removesuffix(":0"): tensor for name, tensor in self.outputs.items()}
        for these in filter(None, (names, otherwise)):
            if all(name in plain for name in these):
                return [plain[name] for name in these]
        raise self.mismatch()

    def rows(self, tensor: DeviceTensor, first: int = 0) -> Table:
        """Returns the columns of a tensor [batch, rows, columns] from `first` on."""
        width = tensor.shape[2]
        return self._table(tensor, _FLOATS, first, width, 1)

    def columns(self, tensor: DeviceTensor, first: int = 0) -> Table:
        """Returns the columns of a tensor [batch, columns, rows] from `first` on."""
        length = tensor.shape[2]
        return self._table(tensor, _FLOATS, first * length, 1, length)

    def column(self, tensor: DeviceTensor, elements: tuple[np.dtype[Any], ...] = _ELEMENTS) -> Table:
        """Returns a tensor [batch, rows] as one column."""
        return self._table(tensor, elements, 0, 1, 0)

    def _table(
        self, tensor: DeviceTensor, elements: tuple[np.dtype[Any], ...], first: int, row_length: int, column_length: int
    ) -> Table:
        if tensor.dtype not in elements:
            raise HeadMismatchError(
                f"head {self.head!r} reads {' or '.join(map(str, elements))}, but an output is {tensor.dtype}: export "
                "the model with such outputs"
            )
        return Table(
            tensor=tensor.address + first * tensor.dtype.itemsize,
            element=_ELEMENTS.index(tensor.dtype),
            picture_length=int(np.prod(tensor.shape[1:])),
            row_length=row_length,
            column_length=column_length,
        )


def _yolo(reader: _Reader) -> _Parts:
    return _raw(reader, reader.ignored)


def _yolo_obb(reader: _Reader) -> _Parts:
    parts, tensor = _raw(reader, 1), reader.only()
    after = reader.columns if parts.boxes.row_length == 1 else reader.rows
    return replace(parts, angles=after(tensor, 4 + reader.classes))


def _raw(reader: _Reader, after: int) -> _Parts:
    """Reads four columns of boxes and those of the classes, with `after` more, in either order of the axes."""
    tensor = reader.only()
    batch, first, second = tensor.shape
    width = 4 + reader.classes + after
    if first == width:
        parts = second, reader.classes, reader.columns(tensor), reader.columns(tensor, 4)
    else:
        reader.require_classes((second if second == width else min(first, second)) - 4 - after)
        parts = first, reader.classes, reader.rows(tensor), reader.rows(tensor, 4)
    return _Parts(batch, *parts, form=BoxForm.CENTRE_SIZE)


def _yolov5(reader: _Reader) -> _Parts:
    tensor = reader.only()
    batch, rows, width = tensor.shape
    reader.require_classes(width - 5 - reader.ignored)
    boxes, objectness, scores = (reader.rows(tensor, first) for first in (0, 4, 5))
    return _Parts(batch, rows, reader.classes, boxes, scores, objectness, form=BoxForm.CENTRE_SIZE)


def _yolo_end_to_end(reader: _Reader) -> _Parts:
    tensor = reader.only()
    batch, rows, width = tensor.shape
    if width != 6 + reader.ignored:
        raise reader.mismatch()
    boxes, scores, labels = (reader.rows(tensor, first) for first in (0, 4, 5))
    return _Parts(batch, rows, 1, boxes, scores, labels=labels)


def _yolo_obb_end_to_end(reader: _Reader) -> _Parts:
    tensor = reader.only()
    batch, rows, width = tensor.shape
    if width != 7:
        raise reader.mismatch()
    boxes, scores, labels, angles = (reader.rows(tensor, first) for first in (0, 4, 5, 6))
    return _Parts(batch, rows, 1, boxes, scores, labels=labels, angles=angles, form=BoxForm.CENTRE_SIZE)


def _yolo_nas(reader: _Reader) -> _Parts:
    if {"boxes", "scores"} <= reader.outputs.keys():
        boxes, scores = reader.named("boxes", "scores")
        return _with_class_scores(reader, boxes, scores)
    three_axes = [tensor for tensor in reader.outputs.values() if len(tensor.shape) == 3]
    tensors = sorted(three_axes, key=lambda tensor: tensor.shape[2] != 4)
    if [tensor.shape[2] == 4 for tensor in tensors] != [True, False]:
        raise reader.mismatch()
    return _with_class_scores(reader, tensors[0], tensors[1])


def _detr(reader: _Reader) -> _Parts:
    boxes, logits = reader.named("pred_boxes", "logits")
    return _queries(_with_class_scores(reader, boxes, logits))


def _rf_detr(reader: _Reader) -> _Parts:
    """The last column may be a background without a label."""
    boxes, logits = reader.named("dets", "labels", otherwise=("pred_boxes", "logits"))
    return _queries(_with_class_scores(reader, boxes, logits, spare=1))


def _ultralytics_detr(reader: _Reader) -> _Parts:
    tensor = reader.only()
    batch, rows, width = tensor.shape
    reader.require_classes(width - 4)
    boxes, scores = reader.rows(tensor), reader.rows(tensor, 4)
    return _Parts(batch, rows, reader.classes, boxes, scores, form=BoxForm.CENTRE_SIZE, pixels=False)


def _detr_labelled(reader: _Reader) -> _Parts:
    return _with_labels(reader, *reader.named("boxes", "scores", "labels"))


def _tf_ssd(reader: _Reader) -> _Parts:
    names = "detection_boxes", "detection_scores", "detection_classes", "num_detections"
    *tensors, number = reader.named(*names)
    parts = _with_labels(reader, *tensors)
    if np.prod(number.shape, dtype=np.int64) != parts.batch:
        raise reader.mismatch()
    counted = reader.column(replace(number, shape=(parts.batch, 1)))
    return replace(parts, counted=counted, first_class=1, form=BoxForm.CORNERS_YX, pixels=False)


def _mmdeploy(reader: _Reader) -> _Parts:
    dets, labels = reader.named("dets", "labels")
    if len(dets.shape) != 3 or dets.shape != (*labels.shape, 5):
        raise reader.mismatch()
    batch, rows, _ = dets.shape
    return _Parts(batch, rows, 1, reader.rows(dets), reader.rows(dets, 4), labels=reader.column(labels))


def _with_class_scores(reader: _Reader, boxes: DeviceTensor, scores: DeviceTensor, spare: int = 0) -> _Parts:
    """Reads boxes [batch, n, 4] and scores [batch, n, classes], with up to `spare` more columns."""
    if len(scores.shape) != 3 or boxes.shape != (*scores.shape[:2], 4):
        raise reader.mismatch()
    batch, rows, columns = scores.shape
    if not 0 <= columns - reader.classes <= spare:
        reader.require_classes(columns - spare)
    return _Parts(batch, rows, reader.classes, reader.rows(boxes), reader.rows(scores))


def _queries(parts: _Parts) -> _Parts:
    """Returns the parts of a DETR: logits, and centres and sizes as fractions of the input."""
    return replace(parts, form=BoxForm.CENTRE_SIZE, pixels=False, sigmoid=True)


def _with_labels(reader: _Reader, boxes: DeviceTensor, scores: DeviceTensor, labels: DeviceTensor) -> _Parts:
    """Reads boxes [batch, n, 4], scores [batch, n] and labels [batch, n]."""
    if len(scores.shape) != 2 or boxes.shape != (*scores.shape, 4) or labels.shape != scores.shape:
        raise reader.mismatch()
    batch, rows = scores.shape
    return _Parts(batch, rows, 1, reader.rows(boxes), reader.column(scores, _FLOATS), labels=reader.column(labels))


BOX_HEADS: Mapping[str, Callable[[_Reader], _Parts]] = {
    "yolo": _yolo,
    "yolov5": _yolov5,
    "yolo-end-to-end": _yolo_end_to_end,
    "yolo-obb": _yolo_obb,
    "yolo-obb-end-to-end": _yolo_obb_end_to_end,
    "yolo-nas": _yolo_nas,
    "detr": _detr,
    "rf-detr": _rf_detr,
    "detr-labelled": _detr_labelled,
    "ultralytics-detr": _ultralytics_detr,
    "tf-ssd": _tf_ssd,
    "mmdeploy": _mmdeploy,
}


def box_layout(head: str, outputs: Outputs, spec: InputSpec, classes: int, ignored: int) -> HeadLayout:
    """Returns the layout for a head of `BOX_HEADS`. Raises HeadMismatchError if the outputs do not have its format."""
    parts = BOX_HEADS[head](_Reader(head, outputs, classes, ignored))
    struct = record(
        BOX_HEAD,
        boxes=parts.boxes,
        scores=parts.scores,
        objectness=parts.objectness,
        labels=parts.labels,
        counted=parts.counted,
        angles=parts.angles,
        rows=parts.rows,
        columns=parts.columns,
        classes=classes,
        first_class=parts.first_class,
        form=parts.form,
        sigmoid=parts.sigmoid,
        probe_every=probe_every(parts.rows),
        width=1 if parts.pixels else spec.width,
        height=1 if parts.pixels else spec.height,
    )
    return HeadLayout(
        "decode_boxes",
        struct,
        parts.batch,
        parts.rows,
        parts.rows * parts.columns,
        probed_rows(parts.rows) * (parts.columns + bool(parts.objectness.tensor)),
        blocks_down=blocks(parts.columns, _COLUMNS_PER_THREAD),
        per_row=parts.columns,
    )
