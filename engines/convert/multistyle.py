"""The network of 26 styles for batches of pictures of any size: built anew from its weights.

Dumoulin et al. 2017, "A Learned Representation for Artistic Style": one network, and for each style a scale and a shift
of each normalised channel (conditional instance normalisation). A mixture of styles is a mixture of these.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import numpy_helper

from engines.convert.onnx_graph import OnnxGraph
from engines.errors import ConversionError

STYLES = 26
_DOWN, _RESIDUAL, _UP = 3, 6, 3
_SIZE: tuple[str, str] = ("height", "width")

Weights = dict[str, NDArray[np.float32]]


def convert(source: Path, target: Path) -> None:
    """From the published file to `image` [b, 3, h, w] RGB 0-1 and `style_weights` [b, 26], which sum to 1, to
    `stylized` [b, 3, h, w] 0-1; h and w are multiples of 4. ConversionError where it is another network."""
    try:
        weights = {one.name: numpy_helper.to_array(one) for one in onnx.load(str(source)).graph.initializer}
    except (DecodeError, OSError) as error:
        raise ConversionError(f"{source.name} cannot be read as ONNX: {error}") from error
    try:
        graph = _built(weights)
    except KeyError as error:
        raise ConversionError(f"{source.name}: not the network of 26 styles, it has no weights {error}") from error
    graph.save(
        target,
        {"image": [3, *_SIZE], "style_weights": [STYLES]},
        {"stylized": [3, *_SIZE]},
        "multistyle26, converted by sightd",
    )


def _built(weights: Weights) -> OnnxGraph:
    graph = OnnxGraph("style26")
    x = "image"
    for i in range(_DOWN):
        x = _layer(graph, weights, x, f"contract.{i}", "Relu", stride=1 if i == 0 else 2)
    for i in range(_RESIDUAL):
        inner = _layer(graph, weights, x, f"res.{i}.0", "Relu")
        x = graph.add("Add", [x, _layer(graph, weights, inner, f"res.{i}.1", "")])
    for i in range(_UP):
        last = i == _UP - 1
        x = _layer(graph, weights, x, f"expand.{i}", "Sigmoid" if last else "Relu", enlarge=not last)
    graph.add("Identity", [x], "stylized")
    return graph


def _layer(
    graph: OnnxGraph, weights: Weights, x: str, name: str, activation: str, *, stride: int = 1, enlarge: bool = False
) -> str:
    """Convolution with mirrored edges, normalisation of each channel of each picture, the style's scale and shift."""
    kernel = weights[f"{name}.w"]
    channels, _, side, _ = kernel.shape
    if enlarge:
        twice = np.array([1, 1, 2, 2], np.float32)
        modes = {"coordinate_transformation_mode": "asymmetric", "mode": "nearest", "nearest_mode": "floor"}
        x = graph.add("Resize", [x, "", twice], **modes)
    pad = side // 2
    x = graph.add("Pad", [x, np.array([0, 0, pad, pad, 0, 0, pad, pad], np.int64)], mode="reflect")
    x = graph.add("Conv", [x, kernel], kernel_shape=[side, side], strides=[stride, stride])
    ones, zeros = np.ones(channels, np.float32), np.zeros(channels, np.float32)
    x = graph.add("InstanceNormalization", [x, ones, zeros], epsilon=1e-5)
    x = graph.add("Mul", [x, _of_style(graph, weights[f"{name}.norm.gamma"])])
    x = graph.add("Add", [x, _of_style(graph, weights[f"{name}.norm.beta"])])
    return graph.add(activation, [x]) if activation else x


def _of_style(graph: OnnxGraph, table: NDArray[np.float32]) -> str:
    """The row of a table [26, channels] that the weights ask for, or their mixture, as [b, channels, 1, 1]."""
    mixed = graph.add("MatMul", ["style_weights", table])
    return graph.add("Reshape", [mixed, np.array([-1, table.shape[1], 1, 1], np.int64)])
