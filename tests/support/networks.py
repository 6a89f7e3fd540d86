"""Models for tests: tiny generated ONNX files, and the catalogue's own, downloaded as a user would."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from sightd.engines.errors import EngineError
from sightd.engines.models.catalog import Catalog
from sightd.engines.models.fetch import Fetcher
from sightd.engines.models.mirror import default_mirror
from sightd.engines.models.store import ModelStore, default_directory, ensure_model
from sightd.engines.progress import silent

Shape = Sequence[int | str]


def write_double(path: Path, shape: Shape = ("batch", 3, 8, 8), name: str = "images", output: str = "output") -> Path:
    """Writes a model that returns twice its input."""
    node = helper.make_node("Add", [name, name], [output])
    graph = helper.make_graph([node], "double", [_info(name, shape)], [_info(output, shape)])
    return write(path, graph)


def write_shaped(path: Path, inputs: dict[str, Shape], outputs: dict[str, Shape]) -> Path:
    """Writes a model with the given inputs and outputs that computes nothing sensible, for code that only reads the
    file."""
    first = next(iter(inputs), "nothing")
    nodes = [helper.make_node("Identity", [first], [name]) for name in outputs]
    graph = helper.make_graph(
        nodes, "shaped", [_info(n, s) for n, s in inputs.items()], [_info(n, s) for n, s in outputs.items()]
    )
    return write(path, graph)


def write(path: Path, graph: onnx.GraphProto) -> Path:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.save(model, str(path))
    return path


@cache
def stored(name: str) -> Path:
    """Returns the ONNX file of a catalogue model in the user's cache. Skips the test if it is not available."""
    store = ModelStore(default_directory(os.environ))
    try:
        return ensure_model(Catalog.load().get(name), store, Fetcher(silent, default_mirror(os.environ)))
    except EngineError as error:
        pytest.skip(f"{name} is not available here: {error}")


def _info(name: str, shape: Shape) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))


def write_colours(path: Path, *, last: str = "", batch: int | str = "batch", side: int | str = 8) -> Path:
    """Writes a classifier of three classes: how red, green and blue an image is. Takes RGB 0-1, returns the mean times
    four as logits. `last` is an optional operator after them."""
    steps = [
        helper.make_node("GlobalAveragePool", ["image"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["features"]),
        helper.make_node("Gemm", ["features", "matrix", "shift"], ["logits"], transB=1),
    ]
    if last:
        steps.append(helper.make_node(last, ["logits"], ["scores"]))
    constants = [
        numpy_helper.from_array(4 * np.eye(3, dtype=np.float32), "matrix"),
        numpy_helper.from_array(np.zeros(3, np.float32), "shift"),
    ]
    output = _info("scores" if last else "logits", (batch, 3))
    return write(
        path, helper.make_graph(steps, "colours", [_info("image", (batch, 3, side, side))], [output], constants)
    )
