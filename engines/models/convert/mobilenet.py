"""Converts PyTorch's published weights of MobileNet v2, folding its batch normalisations into its convolutions.

Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", arXiv 1801.04381.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightd.engines.errors import ConversionError
from sightd.engines.models.convert.onnx_graph import OnnxGraph
from sightd.engines.models.convert.torch_weights import read_weights

_BLOCKS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Table 2 of the paper: expansion factor, channels, number of blocks, stride of the first block."""
_EMBEDDED, _STRIDE, _STRIPS = 3, 8, 8
"""The embedder's blocks, the stride of their output, and the strips over which that is averaged."""
_EPSILON = 1e-5
_SIX = np.array(0, np.float32), np.array(6, np.float32)
"""Range of the activations (ReLU6)."""

Weights = Mapping[str, NDArray[Any]]


def convert(source: Path, target: Path) -> None:
    """Converts the published file to a model from `image` [b, 3, 224, 224] (RGB, normalised) to `logits` [b, classes].
    Raises ConversionError if the file contains another model."""
    weights = read_weights(source)
    try:
        graph, classes = _classifier(weights)
    except (KeyError, ValueError) as error:
        raise ConversionError(f"{source.name} is not MobileNet v2: {error}") from error
    graph.save(target, {"image": [3, 224, 224]}, {"logits": [classes]}, "MobileNet v2, converted by sightd")


def convert_embedder(source: Path, target: Path) -> None:
    """Converts the first blocks of the published file to a model from `image` [b, 3, 128, 64] (RGB, normalised) to
    `embedding` [b, 256]: the means of their 32 channels in 8 horizontal strips, which show colours and patterns from
    head to foot. Later blocks show what kind of thing it is, and less which one. Raises ConversionError as `convert`
    does."""
    weights = read_weights(source)
    graph = OnnxGraph("mobilenet-v2-embedder")
    try:
        x, _ = _blocks(graph, weights, _BLOCKS[:_EMBEDDED])
    except (KeyError, ValueError) as error:
        raise ConversionError(f"{source.name} is not MobileNet v2: {error}") from error
    rows, columns = 128 // _STRIDE, 64 // _STRIDE
    strip = [rows // _STRIPS, columns]
    graph.add("Flatten", [graph.add("AveragePool", [x], kernel_shape=strip, strides=strip)], "embedding")
    shapes = {"image": [3, 128, 64]}, {"embedding": [_BLOCKS[_EMBEDDED - 1][1] * _STRIPS]}
    graph.save(target, *shapes, "first blocks of MobileNet v2, converted by sightd")


def _classifier(weights: Weights) -> tuple[OnnxGraph, int]:
    graph = OnnxGraph("mobilenet-v2")
    x, number = _blocks(graph, weights, _BLOCKS)
    x = _convolution(graph, weights, x, f"features.{number}.0", f"features.{number}.1")
    features = graph.add("Flatten", [graph.add("GlobalAveragePool", [x])], "features")
    matrix, shift = weights["classifier.1.weight"], weights["classifier.1.bias"]
    graph.add("Gemm", [features, matrix, shift], "logits", transB=1)
    return graph, len(shift)


def _blocks(graph: OnnxGraph, weights: Weights, blocks: Sequence[tuple[int, int, int, int]]) -> tuple[str, int]:
    """Adds the first convolution and blocks; returns the name of their output and the number of the next layer."""
    x = _convolution(graph, weights, "image", "features.0.0", "features.0.1", stride=2)
    number, channels = 1, 32
    for expansion, wider, count, stride in blocks:
        for n in range(count):
            block = _block(graph, weights, x, f"features.{number}.conv", expansion, stride if n == 0 else 1)
            x = graph.add("Add", [x, block]) if n > 0 and channels == wider else block
            number, channels = number + 1, wider
    return x, number


def _block(graph: OnnxGraph, weights: Weights, x: str, name: str, expansion: int, stride: int) -> str:
    """Adds an inverted residual block: 1x1 expansion, depthwise convolution, and 1x1 projection without activation."""
    part = 0
    if expansion > 1:
        x, part = _convolution(graph, weights, x, f"{name}.0.0", f"{name}.0.1"), 1
    x = _convolution(graph, weights, x, f"{name}.{part}.0", f"{name}.{part}.1", stride=stride)
    return _convolution(graph, weights, x, f"{name}.{part + 1}", f"{name}.{part + 2}", activation=False)


def _convolution(
    graph: OnnxGraph, weights: Weights, x: str, name: str, norm: str, *, stride: int = 1, activation: bool = True
) -> str:
    """Adds a convolution with folded batch normalisation (Ioffe and Szegedy 2015): w' = w · γ / √(σ² + ε), b' = β - μ ·
    γ / √(σ² + ε)."""
    kernel = weights[f"{name}.weight"]
    mean, variance = weights[f"{norm}.running_mean"], weights[f"{norm}.running_var"]
    factor = weights[f"{norm}.weight"].astype(np.float64) / np.sqrt(variance.astype(np.float64) + _EPSILON)
    folded = (kernel * factor[:, None, None, None]).astype(np.float32)
    shift = (weights[f"{norm}.bias"] - mean * factor).astype(np.float32)
    outputs, inputs, side, _ = kernel.shape
    groups = outputs if inputs == 1 and side > 1 else 1
    pad = side // 2
    x = graph.add(
        "Conv", [x, folded, shift], kernel_shape=[side, side], strides=[stride, stride], pads=[pad] * 4, group=groups
    )
    return graph.add("Clip", [x, *_SIX]) if activation else x
