"""A convolution that is not written to the graph yet, so that subsequent operations can be folded into its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sightd.engines.convert.onnx_graph import OnnxGraph

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
