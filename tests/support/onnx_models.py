"""Tiny ONNX models with constant outputs, run by the real ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from sightd.engines.model import Model
from sightd.engines.sessions.engine import Engine
from sightd.engines.sessions.onnxruntime.cpu import OnnxRuntimeSession


def constant_network(path: Path, size: tuple[int, int], outputs: Mapping[str, NDArray[np.float32]]) -> Path:
    """Writes a model with the input `images` [batch, 3, height, width] (`size` is width, height) that returns each
    output's array [n, k] for every image of the batch, as [batch, n, k]."""
    width, height = size
    nodes = [
        helper.make_node("Flatten", ["images"], ["flat"], axis=1),
        helper.make_node("ReduceMean", ["flat"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Mul", ["mean", "zero"], ["nought"]),
        helper.make_node("Unsqueeze", ["nought", "last"], ["batch"]),
    ]
    constants = [
        numpy_helper.from_array(np.zeros(1, np.float32), "zero"),
        numpy_helper.from_array(np.array([2], np.int64), "last"),
    ]
    values = []
    for name, array in outputs.items():
        constants.append(numpy_helper.from_array(array.astype(np.float32)[None], f"{name}.constant"))
        nodes.append(helper.make_node("Add", ["batch", f"{name}.constant"], [name]))
        values.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *array.shape]))
    picture = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, height, width])
    graph = helper.make_graph(nodes, "constant", [picture], values, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


class FileContext:
    """A plug-in context that loads models from their own files, and those of `catalogue` by name."""

    def __init__(self, name: str = "detector", catalogue: Mapping[str, Model] = MappingProxyType({})) -> None:
        self.name = name
        self.catalogue = catalogue

    def engine(self, choice: Sequence[str | Model]) -> Engine:
        first = choice[0]
        model = self.catalogue[first] if isinstance(first, str) else first
        assert model.path is not None
        return Engine(model, OnnxRuntimeSession(model.path, threads=1), "the only one")
