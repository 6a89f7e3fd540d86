"""The first ten layers of VGG16, whose features measure how similar two images look: the loss for training styles.

Simonyan and Zisserman 2015, "Very Deep Convolutional Networks for Large-Scale Image Recognition", arXiv 1409.1556.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import numpy_helper

from sightd.engines.errors import ConversionError, ModelFileError
from sightd.engines.models.convert.onnx_graph import OnnxGraph

BLOCKS = (2, 2, 3, 3)
"""Number of convolutions per block; the image size is halved between blocks."""
LayerWeights = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Kernel [out, in, 3, 3] and bias [out] of a convolution."""
_NAME = re.compile(r"block(\d)_conv(\d)")
_KERNEL, _SHIFT = "block{}_conv{}.kernel", "block{}_conv{}.shift"


def convert(source: Path, target: Path) -> None:
    """Converts an exported VGG16 with Keras layer names to a model from `image` [b, 3, h, w] (BGR, mean subtracted) to
    `block1` to `block4` [b, c, ., .], the outputs of each block's last layer. Raises ConversionError if the file
    contains another model.
    """
    try:
        network = onnx.load(str(source)).graph
    except (DecodeError, OSError) as error:
        raise ConversionError(f"{source.name} cannot be read as ONNX: {error}") from error
    arrays = {one.name: numpy_helper.to_array(one) for one in network.initializer}
    found = {
        (int(name[1]), int(name[2])): (arrays[node.input[1]], arrays[node.input[2]])
        for node in network.node
        if node.op_type == "Conv" and len(node.input) == 3 and (name := _NAME.search(node.input[1]))
    }
    graph, x = OnnxGraph("vgg16"), "image"
    outputs: dict[str, list[int | str]] = {}
    for block, count in enumerate(BLOCKS, 1):
        for number in range(1, count + 1):
            if (block, number) not in found:
                raise ConversionError(f"{source.name} is not VGG16: it has no block{block}_conv{number}")
            kernel, shift = found[block, number]
            graph.constant(_KERNEL.format(block, number), kernel)
            graph.constant(_SHIFT.format(block, number), shift)
            names = [_KERNEL.format(block, number), _SHIFT.format(block, number)]
            x = graph.add("Conv", [x, *names], kernel_shape=[3, 3], pads=[1] * 4)
            x = graph.add("Relu", [x], f"block{block}" if number == count else "")
        outputs[f"block{block}"] = [len(shift), f"height{block}", f"width{block}"]
        x = graph.add("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2]) if block < len(BLOCKS) else x
    graph.save(target, {"image": [3, "height", "width"]}, outputs, "VGG16, converted by sightd")


def read(path: Path) -> list[list[LayerWeights]]:
    """Returns the layers of each block from a file written by `convert`. Raises ModelFileError for any other file."""
    try:
        arrays = {one.name: numpy_helper.to_array(one) for one in onnx.load(str(path)).graph.initializer}
        return [
            [(arrays[_KERNEL.format(block, n)], arrays[_SHIFT.format(block, n)]) for n in range(1, count + 1)]
            for block, count in enumerate(BLOCKS, 1)
        ]
    except (DecodeError, OSError, KeyError) as error:
        raise ModelFileError(f"{path} is not a VGG16 file written by sightd: {error}") from error
