"""Models of several families, whose outputs are computed from the first pixels of their input: every image gives
different boxes, and any error in the pixels shows in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sightd.engines.model import ColourOrder, InputSpec, KeypointSpec, Model, Resize

WIDTH, HEIGHT, ROWS = 64, 32, 40
LABELS = ("bolt", "nut", "screw")


class _Graph:
    """Nodes and constants of a graph; `add` returns the name of a new tensor."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: Any, dtype: type[np.generic]) -> str:
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(value, dtype), name))
        return name

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        name = output or f"tensor{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def columns(self, tensor: str, first: int, end: int) -> str:
        numbers = [self.constant([value], np.int64) for value in (first, end, 2)]
        return self.add("Slice", tensor, *numbers)

    def pixels(self, tensor: str, columns: int) -> str:
        """Returns the first values of each image as [batch, ROWS, columns]."""
        flat = self.add("Flatten", tensor, axis=1)
        numbers = [self.constant([value], np.int64) for value in (0, ROWS * columns, 1)]
        return self.add("Reshape", self.add("Slice", flat, *numbers), self.constant([-1, ROWS, columns], np.int64))

    def corners(self, rows: str) -> str:
        """Returns boxes x1, y1, x2, y2 from 0 to 1, from four values from 0 to 1."""
        low = self.add("Mul", self.columns(rows, 0, 2), self.constant(0.6, np.float32))
        size = self.add("Mul", self.columns(rows, 2, 4), self.constant(0.4, np.float32))
        size = self.add("Add", size, self.constant(0.01, np.float32))
        return self.add("Concat", low, self.add("Add", low, size), axis=2)

    def column(self, rows: str, which: int, output: str = "") -> str:
        squeezed = self.columns(rows, which, which + 1), self.constant([2], np.int64)
        return self.add("Squeeze", *squeezed, output=output)

    def classes(self, rows: str) -> str:
        """Returns whole numbers from 0 to 2, float32 [batch, ROWS]."""
        thirds = self.add("Mul", self.column(rows, 5), self.constant(2.99, np.float32))
        return self.add("Floor", thirds)

    def save(self, path: Path, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto]) -> None:
        graph = helper.make_graph(self.nodes, path.stem, inputs, outputs, self.constants)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        onnx.checker.check_model(made, full_check=True)
        onnx.save(made, str(path))


def _end(name: str, kind: int, *shape: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, ["batch", *shape])


def _model(path: Path, head: str, spec: InputSpec) -> Model:
    return Model(path.stem, "detector", head, "none", spec, LABELS, path=path)


def two_inputs(path: Path) -> Model:
    """Writes a model with the head "detr-labelled", whose boxes are in pixels of a second input [batch, 2] and whose
    labels are int64."""
    graph = _Graph()
    rows = graph.pixels("images", 6)
    size = graph.add("Cast", "orig_target_sizes", to=TensorProto.FLOAT)
    size = graph.add("Unsqueeze", graph.add("Concat", size, size, axis=1), graph.constant([1], np.int64))
    graph.add("Mul", graph.corners(rows), size, output="boxes")
    graph.column(rows, 4, output="scores")
    graph.add("Cast", graph.classes(rows), to=TensorProto.INT64, output="labels")
    graph.save(
        path,
        [_end("images", TensorProto.FLOAT, 3, HEIGHT, WIDTH), _end("orig_target_sizes", TensorProto.INT64, 2)],
        [
            _end("labels", TensorProto.INT64, ROWS),
            _end("boxes", TensorProto.FLOAT, ROWS, 4),
            _end("scores", TensorProto.FLOAT, ROWS),
        ],
    )
    spec = InputSpec("images", WIDTH, HEIGHT, ColourOrder.RGB, Resize.STRETCH, 1 / 255, size_tensor="orig_target_sizes")
    return _model(path, "detr-labelled", spec)


def bytes_with_colours_last(path: Path) -> Model:
    """Writes a model with the head "tf-ssd" and an input uint8 [batch, height, width, 3]. Three quarters of its rows
    are valid."""
    graph = _Graph()
    values = graph.add("Cast", "input_tensor", to=TensorProto.FLOAT)
    rows = graph.pixels(graph.add("Mul", values, graph.constant(1 / 255, np.float32)), 6)
    corners = graph.corners(rows)
    swapped = graph.add("Gather", corners, graph.constant([1, 0, 3, 2], np.int64), axis=2)
    graph.add("Identity", swapped, output="detection_boxes")
    graph.column(rows, 4, output="detection_scores")
    graph.add("Add", graph.classes(rows), graph.constant(1, np.float32), output="detection_classes")
    zero = graph.add("Mul", graph.add("ReduceMax", rows, axes=[1, 2], keepdims=0), graph.constant(0, np.float32))
    graph.add("Add", zero, graph.constant(ROWS * 3 // 4, np.float32), output="num_detections")
    graph.save(
        path,
        [_end("input_tensor", TensorProto.UINT8, HEIGHT, WIDTH, 3)],
        [
            _end("detection_boxes", TensorProto.FLOAT, ROWS, 4),
            _end("detection_classes", TensorProto.FLOAT, ROWS),
            _end("detection_scores", TensorProto.FLOAT, ROWS),
            _end("num_detections", TensorProto.FLOAT),
        ],
    )
    spec = InputSpec("input_tensor", WIDTH, HEIGHT, ColourOrder.RGB, Resize.STRETCH, nhwc=True)
    return _model(path, "tf-ssd", spec)


def halves(path: Path) -> Model:
    """Writes a model with the head "yolo", whose input and output are float16."""
    graph = _Graph()
    rows = graph.pixels(graph.add("Cast", "images", to=TensorProto.FLOAT), 4 + len(LABELS))
    corners, scale = graph.corners(rows), graph.constant([WIDTH, HEIGHT], np.float32)
    low, high = graph.columns(corners, 0, 2), graph.columns(corners, 2, 4)
    middle = graph.add("Mul", graph.add("Add", low, high), graph.constant(0.5, np.float32))
    parts = [graph.add("Mul", each, scale) for each in (middle, graph.add("Sub", high, low))]
    joined = graph.add("Concat", *parts, graph.columns(rows, 4, 4 + len(LABELS)), axis=2)
    turned = graph.add("Transpose", joined, perm=[0, 2, 1])
    graph.add("Cast", turned, to=TensorProto.FLOAT16, output="output0")
    graph.save(
        path,
        [_end("images", TensorProto.FLOAT16, 3, HEIGHT, WIDTH)],
        [_end("output0", TensorProto.FLOAT16, 4 + len(LABELS), ROWS)],
    )
    spec = InputSpec("images", WIDTH, HEIGHT, ColourOrder.RGB, Resize.LETTERBOX_CENTRE, 1 / 255)
    return _model(path, "yolo", spec)


_PLANES = 8
"""Prototypes, or coefficients, of masks."""


def _rows_of_yolo(graph: _Graph, columns: int) -> tuple[str, str]:
    """Returns boxes and class scores of the head "yolo" [batch, ROWS, 4 + classes] in pixels, and `columns` further
    values from 0 to 1."""
    rows = graph.pixels("images", 4 + len(LABELS) + columns)
    corners, scale = graph.corners(rows), graph.constant([WIDTH, HEIGHT], np.float32)
    low, high = graph.columns(corners, 0, 2), graph.columns(corners, 2, 4)
    middle = graph.add("Mul", graph.add("Add", low, high), graph.constant(0.5, np.float32))
    parts = [graph.add("Mul", each, scale) for each in (middle, graph.add("Sub", high, low))]
    classes = 4 + len(LABELS)
    boxes = graph.add("Concat", *parts, graph.columns(rows, 4, classes), axis=2)
    return boxes, graph.columns(rows, classes, classes + columns)


def _centred(graph: _Graph, tensor: str) -> str:
    return graph.add("Sub", tensor, graph.constant(0.5, np.float32))


def _planes(graph: _Graph, count: int, output: str = "") -> str:
    """Returns `count` planes at a quarter of the input's size, from -0.5 to 0.5: means of the image's colours."""
    means = graph.add("AveragePool", "images", kernel_shape=[4, 4], strides=[4, 4])
    index = graph.constant([number % 3 for number in range(count)], np.int64)
    factor = graph.constant(np.linspace(-1, 1, count).reshape(1, count, 1, 1), np.float32)
    chosen = graph.add("Gather", _centred(graph, means), index, axis=1)
    return graph.add("Mul", chosen, factor, output=output)


def _yolo(path: Path, extra: int, **more: Any) -> Model:
    spec = InputSpec("images", WIDTH, HEIGHT, ColourOrder.RGB, Resize.LETTERBOX_CENTRE, 1 / 255)
    return replace(_model(path, "yolo", spec), extra_columns=extra, **more)


def prototypes(path: Path) -> Model:
    """Writes a model with the head "yolo" and masks: coefficients after the class scores, and prototypes."""
    graph = _Graph()
    boxes, coefficients = _rows_of_yolo(graph, _PLANES)
    joined = graph.add("Concat", boxes, _centred(graph, coefficients), axis=2)
    graph.add("Transpose", joined, perm=[0, 2, 1], output="output0")
    _planes(graph, _PLANES, "output1")
    columns = 4 + len(LABELS) + _PLANES
    graph.save(
        path,
        [_end("images", TensorProto.FLOAT, 3, HEIGHT, WIDTH)],
        [
            _end("output0", TensorProto.FLOAT, columns, ROWS),
            _end("output1", TensorProto.FLOAT, _PLANES, HEIGHT // 4, WIDTH // 4),
        ],
    )
    return _yolo(path, _PLANES)


def points(path: Path) -> Model:
    """Writes a model with the head "yolo" and two keypoints of three values each."""
    graph = _Graph()
    boxes, values = _rows_of_yolo(graph, 6)
    graph.add("Transpose", graph.add("Concat", boxes, values, axis=2), perm=[0, 2, 1], output="output0")
    graph.save(
        path,
        [_end("images", TensorProto.FLOAT, 3, HEIGHT, WIDTH)],
        [_end("output0", TensorProto.FLOAT, 10 + len(LABELS), ROWS)],
    )
    return _yolo(path, 6, keypoints=KeypointSpec(("head", "foot"), 3, ((0, 1),)))


def oriented(path: Path) -> Model:
    """Writes a model with the head "yolo-obb"."""
    graph = _Graph()
    boxes, values = _rows_of_yolo(graph, 1)
    angle = graph.add("Mul", values, graph.constant(3, np.float32))
    graph.add("Transpose", graph.add("Concat", boxes, angle, axis=2), perm=[0, 2, 1], output="output0")
    graph.save(
        path,
        [_end("images", TensorProto.FLOAT, 3, HEIGHT, WIDTH)],
        [_end("output0", TensorProto.FLOAT, 5 + len(LABELS), ROWS)],
    )
    return replace(_yolo(path, 0), head="yolo-obb")


def query_masks(path: Path) -> Model:
    """Writes a model with the head "rf-detr" and a mask for each query."""
    graph = _Graph()
    rows = graph.pixels("images", 4 + len(LABELS))
    corners = graph.corners(rows)
    low, high = graph.columns(corners, 0, 2), graph.columns(corners, 2, 4)
    middle = graph.add("Mul", graph.add("Add", low, high), graph.constant(0.5, np.float32))
    graph.add("Concat", middle, graph.add("Sub", high, low), axis=2, output="dets")
    scores = _centred(graph, graph.columns(rows, 4, 4 + len(LABELS)))
    graph.add("Mul", scores, graph.constant(6, np.float32), output="labels")
    _planes(graph, ROWS, "masks")
    graph.save(
        path,
        [_end("images", TensorProto.FLOAT, 3, HEIGHT, WIDTH)],
        [
            _end("dets", TensorProto.FLOAT, ROWS, 4),
            _end("labels", TensorProto.FLOAT, ROWS, len(LABELS)),
            _end("masks", TensorProto.FLOAT, ROWS, HEIGHT // 4, WIDTH // 4),
        ],
    )
    spec = InputSpec("images", WIDTH, HEIGHT, ColourOrder.RGB, Resize.STRETCH, 1 / 255)
    return _model(path, "rf-detr", spec)


def embedder(path: Path, *, of_bytes: bool) -> Model:
    """Writes a face embedder for crops of 112 x 112, whose 48 values are the means of squares of 16 x 16 pixels in
    one colour. `of_bytes`: its input is uint8 with the colours last, and it normalises pixels itself."""
    graph, name = _Graph(), "faces"
    scale, mean = 1 / 127.5, 1.0
    if of_bytes:
        pixels = graph.add("Cast", graph.add("Transpose", name, perm=[0, 3, 1, 2]), to=TensorProto.FLOAT)
        scaled = graph.add("Mul", pixels, graph.constant(scale, np.float32))
        tensor = graph.add("Sub", scaled, graph.constant(mean, np.float32))
        end = _end(name, TensorProto.UINT8, 112, 112, 3)
        spec = InputSpec(name, 112, 112, ColourOrder.RGB, Resize.STRETCH, nhwc=True)
    else:
        tensor, end = name, _end(name, TensorProto.FLOAT, 3, 112, 112)
        spec = InputSpec(name, 112, 112, ColourOrder.RGB, Resize.STRETCH, scale, mean=(mean,) * 3)
    means = graph.add("AveragePool", tensor, kernel_shape=[16, 16], strides=[32, 32])
    graph.add("Flatten", means, output="embedding", axis=1)
    graph.save(path, [end], [_end("embedding", TensorProto.FLOAT, 48)])
    return Model(path.stem, "face-embedder", "", "none", spec, path=path)
