"""Layouts of the heads whose boxes need no grid: all are read by `decode_boxes` of detect.cu, in place and whatever the
order of their axes.

The formats are those that the CPU decoders document. Boxes and scores are float32 or float16; labels and counts may
also be int64 or int32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from sightd.engines.cuda.launch.device import blocks
from sightd.engines.cuda.launch.heads import DeviceTensor, HeadLayout, HeadMismatchError, Outputs, mismatch
from sightd.engines.cuda.launch.layout import BOX_HEAD, record
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
    first_class: int = 0
    form: BoxForm = BoxForm.CORNERS
    pixels: bool = True
    sigmoid: bool = False
    suppress: bool = True


@dataclass(frozen=True, slots=True)
class _Reader:
    """Finds tensors among the outputs of a model with the head `head`, which reads outputs of the form `form`."""

    head: str
    form: str
    outputs: Outputs

    def mismatch(self) -> HeadMismatchError:
        return mismatch(self.head, self.form, self.outputs)

    def only(self) -> DeviceTensor:
        """Returns the only output, which must have three axes."""
        tensors = list(self.outputs.values())
        if len(tensors) != 1 or len(tensors[0].shape) != 3:
            raise self.mismatch()
        return tensors[0]

    def named(self, *names: str) -> list[DeviceTensor]:
        if any(name not in self.outputs for name in names):
            raise self.mismatch()
        return [self.outputs[name] for name in names]

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


def _yolo(outputs: Outputs, classes: int) -> _Parts:
    width = 4 + classes
    reader = _Reader("yolo", f"one output [batch, {width}, n] or [batch, n, {width}]", outputs)
    tensor = reader.only()
    batch, first, second = tensor.shape
    if first == width:
        parts = second, classes, reader.columns(tensor), reader.columns(tensor, 4)
    elif second == width:
        parts = first, classes, reader.rows(tensor), reader.rows(tensor, 4)
    else:
        raise reader.mismatch()
    return _Parts(batch, *parts, form=BoxForm.CENTRE_SIZE)


def _yolov5(outputs: Outputs, classes: int) -> _Parts:
    reader = _Reader("yolov5", f"one output [batch, n, {5 + classes}]", outputs)
    tensor = reader.only()
    batch, rows, width = tensor.shape
    if width != 5 + classes:
        raise reader.mismatch()
    boxes, objectness, scores = (reader.rows(tensor, first) for first in (0, 4, 5))
    return _Parts(batch, rows, classes, boxes, scores, objectness, form=BoxForm.CENTRE_SIZE)


def _yolo_end_to_end(outputs: Outputs, classes: int) -> _Parts:
    reader = _Reader("yolo-end-to-end", "one output [batch, n, 6]", outputs)
    tensor = reader.only()
    batch, rows, width = tensor.shape
    if width != 6:
        raise reader.mismatch()
    boxes, scores, labels = (reader.rows(tensor, first) for first in (0, 4, 5))
    return _Parts(batch, rows, 1, boxes, scores, labels=labels, suppress=False)


def _yolo_nas(outputs: Outputs, classes: int) -> _Parts:
    reader = _Reader("yolo-nas", f"boxes [batch, n, 4] and scores [batch, n, {classes}]", outputs)
    tensors = sorted(outputs.values(), key=lambda tensor: tensor.shape[-1:] != (4,))
    return _with_class_scores(reader, tensors, classes)


def _detr(outputs: Outputs, classes: int) -> _Parts:
    reader = _Reader("detr", f"pred_boxes [batch, n, 4] and logits [batch, n, {classes}]", outputs)
    return _queries(_with_class_scores(reader, reader.named("pred_boxes", "logits"), classes))


def _rf_detr(outputs: Outputs, classes: int) -> _Parts:
    reader = _Reader("rf-detr", f"dets [batch, n, 4] and labels [batch, n, {classes}]", outputs)
    return _queries(_with_class_scores(reader, reader.named("dets", "labels"), classes))


def _detr_labelled(outputs: Outputs, classes: int) -> _Parts:
    reader = _Reader("detr-labelled", "boxes [batch, n, 4], scores [batch, n] and labels [batch, n]", outputs)
    return _with_labels(reader, reader.named("boxes", "scores", "labels"))


def _tf_ssd(outputs: Outputs, classes: int) -> _Parts:
    names = "detection_boxes", "detection_scores", "detection_classes", "num_detections"
    form = f"{names[0]} [batch, n, 4], {names[1]} [batch, n], {names[2]} [batch, n] and {names[3]} [batch]"
    reader = _Reader("tf-ssd", form, outputs)
    *tensors, number = reader.named(*names)
    parts = _with_labels(reader, tensors)
    if number.shape not in ((parts.batch,), (parts.batch, 1)):
        raise reader.mismatch()
    counted = reader.column(number)
    return replace(parts, counted=counted, first_class=1, form=BoxForm.CORNERS_YX, pixels=False)


def _mmdeploy(outputs: Outputs, classes: int) -> _Parts:
    reader = _Reader("mmdeploy", "dets [batch, n, 5] and labels [batch, n]", outputs)
    dets, labels = reader.named("dets", "labels")
    if len(dets.shape) != 3 or dets.shape[2] != 5 or labels.shape != dets.shape[:2]:
        raise reader.mismatch()
    batch, rows, _ = dets.shape
    return _Parts(batch, rows, 1, reader.rows(dets), reader.rows(dets, 4), labels=reader.column(labels), suppress=False)


def _with_class_scores(reader: _Reader, tensors: list[DeviceTensor], classes: int) -> _Parts:
    """Reads boxes [batch, n, 4] and scores [batch, n, classes]."""
    if len(tensors) != 2 or len(tensors[1].shape) != 3:
        raise reader.mismatch()
    boxes, scores = tensors
    batch, rows, columns = scores.shape
    if columns != classes or boxes.shape != (batch, rows, 4):
        raise reader.mismatch()
    return _Parts(batch, rows, classes, reader.rows(boxes), reader.rows(scores))


def _queries(parts: _Parts) -> _Parts:
    """Returns the parts of a DETR: logits, and centres and sizes as fractions of the input."""
    return replace(parts, form=BoxForm.CENTRE_SIZE, pixels=False, sigmoid=True, suppress=False)


def _with_labels(reader: _Reader, tensors: list[DeviceTensor]) -> _Parts:
    """Reads boxes [batch, n, 4], scores [batch, n] and labels [batch, n] of a model that suppresses boxes itself."""
    boxes, scores, labels = tensors
    if len(scores.shape) != 2 or boxes.shape != (*scores.shape, 4) or labels.shape != scores.shape:
        raise reader.mismatch()
    batch, rows = scores.shape
    return _Parts(
        batch, rows, 1, reader.rows(boxes), reader.column(scores, _FLOATS), labels=reader.column(labels), suppress=False
    )


BOX_HEADS: Mapping[str, Callable[[Outputs, int], _Parts]] = {
    "yolo": _yolo,
    "yolov5": _yolov5,
    "yolo-end-to-end": _yolo_end_to_end,
    "yolo-nas": _yolo_nas,
    "detr": _detr,
    "rf-detr": _rf_detr,
    "detr-labelled": _detr_labelled,
    "tf-ssd": _tf_ssd,
    "mmdeploy": _mmdeploy,
}


def box_layout(head: str, outputs: Outputs, spec: InputSpec, classes: int) -> HeadLayout:
    """Returns the layout for a head of `BOX_HEADS`. Raises HeadMismatchError if the outputs do not have its format."""
    parts = BOX_HEADS[head](outputs, classes)
    struct = record(
        BOX_HEAD,
        boxes=parts.boxes,
        scores=parts.scores,
        objectness=parts.objectness,
        labels=parts.labels,
        counted=parts.counted,
        rows=parts.rows,
        columns=parts.columns,
        classes=classes,
        first_class=parts.first_class,
        form=parts.form,
        sigmoid=parts.sigmoid,
        width=1 if parts.pixels else spec.width,
        height=1 if parts.pixels else spec.height,
    )
    return HeadLayout(
        "decode_boxes",
        struct,
        parts.batch,
        parts.rows,
        parts.rows * parts.columns,
        blocks_down=blocks(parts.columns, _COLUMNS_PER_THREAD),
        suppress=parts.suppress,
    )
