"""A small convolutional model with seeded weights: quick to quantise, and built from the layers that detectors use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from sightd.engines.model import ColourOrder, InputSpec, Model, Resize

SIZE = 32


def convolutional(path: Path, head: str = "yolox") -> Model:
    """Writes trunk → depthwise → predicting convolution → sigmoid, at opset 11; input "images" [batch, 3, 32, 32]."""
    random = np.random.default_rng(7)

    def weights(name: str, *shape: int) -> onnx.TensorProto:
        scale = 1 / np.sqrt(np.prod(shape[1:]))
        values: NDArray[np.float32] = random.normal(0, scale, shape).astype(np.float32)
        return numpy_helper.from_array(values, name)

    constants = [
        weights("w.trunk", 16, 3, 3, 3),
        weights("w.depthwise", 16, 1, 3, 3),
        weights("w.predict", 4, 16, 1, 1),
    ]
    nodes = [
        helper.make_node("Conv", ["images", "w.trunk"], ["a"], name="trunk", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"], name="relu"),
        helper.make_node("Conv", ["b", "w.depthwise"], ["c"], name="depthwise", pads=[1, 1, 1, 1], group=16),
        helper.make_node("Conv", ["c", "w.predict"], ["d"], name="predict"),
        helper.make_node("Sigmoid", ["d"], ["output"], name="last"),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", channels, SIZE, SIZE])
        for name, channels in (("images", 3), ("output", 4))
    ]
    graph = helper.make_graph(nodes, "small", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=7)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    spec = InputSpec("images", SIZE, SIZE, ColourOrder.BGR, Resize.STRETCH, scale=1 / 255)
    return Model("small", "face-embedder", head, "MIT", spec, path=path)


def pictures(count: int) -> list[NDArray[np.uint8]]:
    random = np.random.default_rng(3)
    return [random.integers(0, 256, (SIZE, SIZE, 3), np.uint8) for _ in range(count)]
