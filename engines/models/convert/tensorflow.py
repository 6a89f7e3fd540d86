"""Translates the convolutional part of a frozen TensorFlow graph to ONNX.

Constants are computed here (batch normalisation becomes two vectors), and products and sums with constants are
folded into the preceding convolution. The layout changes from TensorFlow's NHWC to ONNX's NCHW.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightd.engines.errors import ConversionError
from sightd.engines.models.convert.graphdef import Node
from sightd.engines.models.convert.onnx_graph import OnnxGraph

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Feature:
    """A tensor of the ONNX graph, NCHW: its name, channels, height and width."""

    name: str
    channels: int
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class Convolution:
    """Weights [out, in / groups, kh, kw] and bias [out] applied to `source`; `pads` is top, left, bottom, right."""

    source: Feature
    weights: FloatArray
    bias: FloatArray
    stride: int
    pads: tuple[int, int, int, int]
    groups: int

    @classmethod
    def same(cls, source: Feature, kernel: FloatArray, stride: int, *, depthwise: bool) -> Convolution:
        """Creates a convolution from TensorFlow's kernel [kh, kw, in, out or multiplier] with padding "SAME"."""
        kh, kw, inputs, outputs = kernel.shape
        if depthwise:
            weights = kernel.transpose(2, 3, 0, 1).reshape(inputs * outputs, 1, kh, kw)
        else:
            weights = kernel.transpose(3, 2, 0, 1)
        top, bottom = _same(source.height, kh, stride)
        left, right = _same(source.width, kw, stride)
        bias = np.zeros(len(weights), np.float32)
        return cls(source, weights, bias, stride, (top, left, bottom, right), inputs if depthwise else 1)

    def scaled(self, factor: FloatArray) -> Convolution:
        """Returns this convolution followed by a multiplication by a factor per channel."""
        return replace(self, weights=self.weights * factor.reshape(-1, 1, 1, 1), bias=self.bias * factor)

    def shifted(self, summand: FloatArray) -> Convolution:
        """Returns this convolution followed by the addition of a summand per channel."""
        return replace(self, bias=self.bias + summand)

    def selected(self, channels: Sequence[int]) -> Convolution:
        """Returns only these outputs, in this order. The convolution must have one group."""
        index = np.asarray(channels)
        return replace(self, weights=self.weights[index], bias=self.bias[index])

    def write(self, graph: OnnxGraph) -> Feature:
        outputs, _, kh, kw = self.weights.shape
        top, left, bottom, right = self.pads
        name = graph.add(
            "Conv",
            [self.source.name, self.weights.astype(np.float32), self.bias.astype(np.float32)],
            kernel_shape=[kh, kw],
            strides=[self.stride, self.stride],
            pads=[top, left, bottom, right],
            group=self.groups,
        )
        height = (self.source.height + top + bottom - kh) // self.stride + 1
        width = (self.source.width + left + right - kw) // self.stride + 1
        return Feature(name, outputs, height, width)


def _same(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Returns TensorFlow's "SAME" padding before and after; an odd pixel goes after."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


Value = NDArray[Any] | Feature | Convolution

_ARITHMETIC = {
    "Add": (np.add, "Add"),
    "AddV2": (np.add, "Add"),
    "BiasAdd": (np.add, "Add"),
    "Sub": (np.subtract, "Sub"),
    "Mul": (np.multiply, "Mul"),
}


class Translation:
    """Translates nodes on demand. `given` maps the nodes that replace the model's input to their tensors."""

    def __init__(self, nodes: Mapping[str, Node], graph: OnnxGraph, given: Mapping[str, Feature]) -> None:
        self._nodes = nodes
        self._graph = graph
        self._values: dict[str, Value] = dict(given)
        self._written: dict[int, Feature] = {}

    def convolution(self, name: str) -> Convolution:
        """Returns the convolution of node `name`, including everything folded into it. Raises ConversionError if it is
        none."""
        value = self._value(name)
        if not isinstance(value, Convolution):
            raise ConversionError(f"the graph's node {name} is not a convolution")
        return value

    def constant(self, name: str) -> NDArray[Any]:
        """Returns the array of node `name`. Raises ConversionError if it is not a constant."""
        value = self._value(name)
        if not isinstance(value, np.ndarray):
            raise ConversionError(f"the graph's node {name} is not a constant")
        return value

    def _value(self, name: str) -> Value:
        for needed in self._in_order(name):
            self._values[needed] = self._translate(self._nodes[needed])
        return self._values[name]

    def _in_order(self, name: str) -> Iterable[str]:
        """Returns the nodes that `name` depends on and that are not translated yet, dependencies first (depth
        first)."""
        order: dict[str, None] = {}
        entered = set[str]()
        stack = [(name, False)]
        while stack:
            current, ready = stack.pop()
            if current in self._values or current in order:
                continue
            if current not in self._nodes:
                raise ConversionError(f"the graph has no node {current}: it is not the expected model")
            if ready:
                order[current] = None
            elif current in entered:
                raise ConversionError(f"the graph's node {current} needs its own output: the graph has a cycle")
            else:
                entered.add(current)
                stack.append((current, True))
                stack.extend((needed, False) for needed in self._nodes[current].inputs)
        return order

    def _translate(self, node: Node) -> Value:
        values = [self._values[name] for name in node.inputs]
        match node.op, values:
            case "Const", []:
                return _array(node)
            case "Identity", [value]:
                return value
            case "Rsqrt", [np.ndarray() as value]:
                return 1 / np.sqrt(value)
            case (("Conv2D" | "DepthwiseConv2dNative"), [Feature() | Convolution() as source, np.ndarray() as kernel]):
                depthwise = node.op != "Conv2D"
                return Convolution.same(self._feature(source), kernel, _stride(node), depthwise=depthwise)
            case "Relu6", [Feature() | Convolution() as value]:
                before = self._feature(value)
                limits = [np.array(0, np.float32), np.array(6, np.float32)]
                return self._like(before, self._graph.add("Clip", [before.name, *limits]))
            case op, [left, right] if op in _ARITHMETIC:
                return self._arithmetic(op, left, right)
        kinds = ", ".join(type(value).__name__ for value in values)
        raise ConversionError(f"the graph's node {node.name}: {node.op} of ({kinds}) cannot be converted")

    def _arithmetic(self, op: str, left: Value, right: Value) -> Value:
        compute, name = _ARITHMETIC[op]
        match left, right:
            case np.ndarray(), np.ndarray():
                return compute(left, right)
            case Convolution(), np.ndarray() if right.ndim == 1:
                return _folded(op, left, right)
            case np.ndarray(), Convolution() if left.ndim == 1 and op != "Sub":
                return _folded(op, right, left)
        operands = [value if isinstance(value, np.ndarray) else self._feature(value) for value in (left, right)]
        shape = next(value for value in operands if isinstance(value, Feature))
        inputs = [value.name if isinstance(value, Feature) else _scalar(value) for value in operands]
        return self._like(shape, self._graph.add(name, inputs))

    def _feature(self, value: Feature | Convolution) -> Feature:
        """Returns the tensor of a value. A convolution is written to the graph only once, when its output is first
        needed."""
        if isinstance(value, Feature):
            return value
        if id(value) not in self._written:
            self._written[id(value)] = value.write(self._graph)
        return self._written[id(value)]

    @staticmethod
    def _like(shape: Feature, name: str) -> Feature:
        return Feature(name, shape.channels, shape.height, shape.width)


def _folded(op: str, convolution: Convolution, numbers: NDArray[Any]) -> Convolution:
    if op == "Mul":
        return convolution.scaled(numbers)
    return convolution.shifted(-numbers if op == "Sub" else numbers)


def _array(node: Node) -> NDArray[Any]:
    value = node.attributes.get("value")
    if not isinstance(value, np.ndarray):
        raise ConversionError(f"the graph's constant {node.name} contains no numbers")
    return value


def _scalar(array: NDArray[Any]) -> NDArray[Any]:
    if array.ndim:
        raise ConversionError(f"expected a single number, found a constant of shape {array.shape}")
    return array


def _stride(node: Node) -> int:
    """Returns the stride of a convolution with TensorFlow's defaults. Raises ConversionError for other paddings and
    layouts."""
    strides = node.attributes.get("strides")
    dilations = node.attributes.get("dilations", (1, 1, 1, 1))
    plain = node.attributes.get("padding") == "SAME" and node.attributes.get("data_format", "NHWC") == "NHWC"
    if not plain or set(dilations) != {1} or not isinstance(strides, tuple) or len(set(strides[1:3])) != 1:
        raise ConversionError(
            f"the graph's node {node.name}: only NHWC, SAME padding, square strides and no dilation are supported"
        )
    return int(strides[1])
