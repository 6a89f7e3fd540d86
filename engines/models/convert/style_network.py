"""The multi-style model: its layers, the ONNX file in which they are stored, and the conversion of the published one.

Dumoulin et al. 2017, "A Learned Representation for Artistic Style", arXiv 1610.07629: one model, with a scale and
shift per style for each normalised channel (conditional instance normalisation). Interpolating these mixes styles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import numpy_helper

from sightd.engines.errors import ConversionError, ModelFileError
from sightd.engines.models.convert.onnx_graph import OnnxGraph

Floats = NDArray[np.float32]

DOWN, RESIDUAL, UP = 3, 6, 3
"""Number of downsampling layers, of residual pairs of layers, and of upsampling layers."""
EPSILON = 1e-5
"""Added to the variance in the normalisation of a channel."""
_LAYERS = DOWN + 2 * RESIDUAL + UP
_SIZE: tuple[str, str] = ("height", "width")


@dataclass(frozen=True, slots=True, eq=False)
class StyleLayer:
    """A convolution `kernel` float32 [out, in, side, side] with reflection padding, and the scale and shift per style
    of each normalised channel, float32 [styles, out]."""

    kernel: Floats
    scale: Floats
    shift: Floats

    def with_style(self, row: int, scale: Floats, shift: Floats) -> StyleLayer:
        """Returns the layer with `scale` and `shift`, float32 [out] each, as the style in `row`. If `row` is the number
        of styles, a new one is added."""
        tables = [self.scale, self.shift]
        for n, values in enumerate((scale, shift)):
            known = tables[n]
            tables[n] = np.concatenate((known[:row], values[None], known[row + 1 :])).astype(np.float32)
        return replace(self, scale=tables[0], shift=tables[1])


def stride_of(layer: int) -> int:
    """Returns the stride of the n-th layer's convolution."""
    return 2 if 0 < layer < DOWN else 1


def enlarges(layer: int) -> bool:
    """Returns whether the image size is doubled before the n-th layer."""
    return DOWN + 2 * RESIDUAL <= layer < _LAYERS - 1


def write(layers: Sequence[StyleLayer], path: Path, origin: str) -> None:
    """Writes the model from `image` [b, 3, h, w] RGB 0-1 and `style_weights` [b, styles], which sum to 1, to `stylized`
    [b, 3, h, w] 0-1; h and w must be multiples of 4. `origin` describes what it was made from."""
    graph, numbered = OnnxGraph("styles"), iter(enumerate(layers))
    x = "image"
    for _ in range(DOWN):
        x = _layer(graph, x, *next(numbered), "Relu")
    for _ in range(RESIDUAL):
        inner = _layer(graph, x, *next(numbered), "Relu")
        x = graph.add("Add", [x, _layer(graph, inner, *next(numbered), "")])
    for n in range(UP):
        x = _layer(graph, x, *next(numbered), "Sigmoid" if n == UP - 1 else "Relu")
    graph.add("Identity", [x], "stylized")
    styles = len(layers[0].scale)
    graph.save(path, {"image": [3, *_SIZE], "style_weights": [styles]}, {"stylized": [3, *_SIZE]}, origin)


def read(path: Path) -> tuple[StyleLayer, ...]:
    """Returns the layers of a file written by `write`. Raises ModelFileError for any other file."""
    try:
        graph = onnx.load(str(path)).graph
    except (DecodeError, OSError) as error:
        raise ModelFileError(f"{path} cannot be read as ONNX: {error}") from error
    arrays = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    kernels = [arrays.get(node.input[1]) for node in graph.node if node.op_type == "Conv"]
    tables = [arrays.get(node.input[1]) for node in graph.node if node.op_type == "MatMul"]
    layers = []
    for kernel, scale, shift in zip(kernels, tables[::2], tables[1::2], strict=False):
        if kernel is not None and scale is not None and shift is not None:
            layers.append(StyleLayer(kernel, scale, shift))
    if len(layers) != _LAYERS or len(tables) != 2 * _LAYERS:
        raise ModelFileError(f"{path} is not a style model written by sightd")
    return tuple(layers)


def _layer(graph: OnnxGraph, x: str, number: int, layer: StyleLayer, activation: str) -> str:
    """Adds a convolution, instance normalisation, and the style's scale and shift."""
    channels, _, side, _ = layer.kernel.shape
    if enlarges(number):
        twice = np.array([1, 1, 2, 2], np.float32)
        modes = {"coordinate_transformation_mode": "asymmetric", "mode": "nearest", "nearest_mode": "floor"}
        x = graph.add("Resize", [x, "", twice], **modes)
    pad, stride = side // 2, stride_of(number)
    x = graph.add("Pad", [x, np.array([0, 0, pad, pad, 0, 0, pad, pad], np.int64)], mode="reflect")
    x = graph.add("Conv", [x, layer.kernel], kernel_shape=[side, side], strides=[stride, stride])
    ones, zeros = np.ones(channels, np.float32), np.zeros(channels, np.float32)
    x = graph.add("InstanceNormalization", [x, ones, zeros], epsilon=EPSILON)
    x = graph.add("Mul", [x, _of_style(graph, layer.scale)])
    x = graph.add("Add", [x, _of_style(graph, layer.shift)])
    return graph.add(activation, [x]) if activation else x


def _of_style(graph: OnnxGraph, table: Floats) -> str:
    """Adds the mixture of the rows of a table [styles, channels] by the style weights, as [b, channels, 1, 1]."""
    mixed = graph.add("MatMul", ["style_weights", table])
    return graph.add("Reshape", [mixed, np.array([-1, table.shape[1], 1, 1], np.int64)])


def convert(source: Path, target: Path) -> None:
    """Converts the published file to the format of `write`. Raises ConversionError if the file contains another
    model."""
    try:
        weights = {one.name: numpy_helper.to_array(one) for one in onnx.load(str(source)).graph.initializer}
    except (DecodeError, OSError) as error:
        raise ConversionError(f"{source.name} cannot be read as ONNX: {error}") from error
    names = [f"contract.{n}" for n in range(DOWN)]
    names += [f"res.{n}.{half}" for n in range(RESIDUAL) for half in (0, 1)]
    names += [f"expand.{n}" for n in range(UP)]
    try:
        layers = [
            StyleLayer(weights[f"{name}.w"], weights[f"{name}.norm.gamma"], weights[f"{name}.norm.beta"])
            for name in names
        ]
    except KeyError as error:
        raise ConversionError(f"{source.name} is not the 26-style model: it has no weights {error}") from error
    write(layers, target, "multistyle26, converted by sightd")
