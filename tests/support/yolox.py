"""A tiny file of the YOLOX family with random weights: a neck and three grids with two branches each, as official
exports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sightd.engines.model import ColourOrder, InputSpec, Model, Resize

SIDE, CHANNELS = 64, 8


def write_yolox(path: Path, classes: int, *, seed: int = 0) -> Model:
    """Writes the file and returns its description."""
    build = _Build(np.random.default_rng(seed))
    trunk, maps = "images", list[str]()
    for stride in (2, 4, 8, 16, 32):
        trunk = build.layer(trunk, 3 if stride == 2 else CHANNELS, CHANNELS, 3, 2)
        if stride >= 8:
            maps.append(trunk)
    for feature in build.neck(maps):
        build.grid(feature, classes)
    build.node("Concat", build.cells, "all", axis=2)
    build.node("Transpose", ["all"], "output", perm=[0, 2, 1])
    rows = sum((SIDE // stride) ** 2 for stride in (8, 16, 32))
    graph = helper.make_graph(
        build.nodes,
        "tiny-yolox",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, rows, 5 + classes])],
        build.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)])
    model.ir_version = 6
    onnx.save(model, str(path))
    labels = tuple(f"thing {n}" for n in range(classes))
    spec = InputSpec("images", SIDE, SIDE, ColourOrder.BGR, Resize.LETTERBOX_TOP_LEFT, scale=1 / 255)
    return Model("tiny", "detector", "yolox", "none", spec, labels, path=path)


class _Build:
    def __init__(self, random: np.random.Generator) -> None:
        self._random = random
        self._names = self._numbered()
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.cells: list[str] = []

    def node(self, kind: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        output = output or next(self._names)
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def layer(self, source: str, channels: int, made: int, kernel: int, stride: int = 1) -> str:
        x = self.conv(source, channels, made, kernel, stride)
        return self.node("Mul", [x, self.node("Sigmoid", [x])])

    def conv(self, source: str, channels: int, made: int, kernel: int, stride: int = 1) -> str:
        fan = channels * kernel**2
        weight = self._constant(self._random.normal(0, 2 / fan**0.5, (made, channels, kernel, kernel)))
        bias = self._constant(self._random.normal(0, 0.1, made))
        pads, strides = [kernel // 2] * 4, [stride, stride]
        return self.node("Conv", [source, weight, bias], kernel_shape=[kernel] * 2, pads=pads, strides=strides)

    def neck(self, maps: list[str]) -> list[str]:
        """Joins each feature map with the enlarged one of the next grid."""
        deepest = self.layer(maps.pop(), CHANNELS, CHANNELS, 1)
        found, scales = [deepest], self._constant(np.array([1, 1, 2, 2]))
        for one in reversed(maps):
            enlarged = self.node("Resize", [found[0], self._constant(np.zeros(0)), scales], mode="nearest")
            joined = self.node("Concat", [enlarged, one], axis=1)
            found.insert(0, self.layer(joined, 2 * CHANNELS, CHANNELS, 1))
        return found

    def grid(self, trunk: str, classes: int) -> None:
        stem = self.layer(trunk, CHANNELS, CHANNELS, 1)
        scores = self.conv(self.layer(stem, CHANNELS, CHANNELS, 3), CHANNELS, classes, 1)
        regression = self.layer(stem, CHANNELS, CHANNELS, 3)
        box, objectness = self.conv(regression, CHANNELS, 4, 1), self.conv(regression, CHANNELS, 1, 1)
        parts = [box, self.node("Sigmoid", [objectness]), self.node("Sigmoid", [scores])]
        target = next(self._names)
        self.constants.append(numpy_helper.from_array(np.array([1, 5 + classes, -1], np.int64), target))
        self.cells.append(self.node("Reshape", [self.node("Concat", parts, axis=1), target]))

    def _constant(self, values: np.ndarray) -> str:
        name = next(self._names)
        self.constants.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    @staticmethod
    def _numbered() -> Iterator[str]:
        n = 0
        while True:
            yield f"t{n}"
            n += 1
