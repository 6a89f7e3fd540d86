"""Removes or replaces the last layer (head) of a classifier. The layers before it (the trunk) are not changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from sightd.engines.errors import ModelFileError
from sightd.engines.onnx_file import require_readable

FEATURES, LOGITS = "trunk.features", "head.logits"
"""Names of the outputs of the files written here."""
_BEHIND = frozenset({"Softmax", "LogSoftmax", "Identity", "Flatten", "Reshape", "Add"})
"""Operators that may follow the last layer; an Add is its bias."""


def write_trunk(path: Path, target: Path) -> int:
    """Writes the model without its last layer, with the output `FEATURES` [batch, n], and returns n. Raises
    ModelFileError if the file cannot be read or does not end in a fully connected layer."""
    model = _read(path)
    last, width = _last_layer(model, path)
    _end_with(model, last.input[0], width)
    onnx.save(model, str(target))
    return width


def write_with_head(path: Path, target: Path, matrix: NDArray[np.float32], shift: NDArray[np.float32]) -> None:
    """Writes the model with a new last layer: `LOGITS` [batch, classes] = features @ matrix.T + shift.

    `matrix` is float32 [classes, n], `shift` float32 [classes]. Raises ModelFileError as `write_trunk` does, and
    ValueError if n does not match.
    """
    model = _read(path)
    last, width = _last_layer(model, path)
    if matrix.shape != (len(shift), width):
        raise ValueError(f"the head is {list(matrix.shape)} and {list(shift.shape)}, for {width} features")
    _end_with(model, last.input[0], width)
    graph = model.graph
    graph.initializer.extend(
        [numpy_helper.from_array(matrix, "head.matrix"), numpy_helper.from_array(shift, "head.shift")]
    )
    graph.node.append(helper.make_node("Gemm", [FEATURES, "head.matrix", "head.shift"], [LOGITS], transB=1))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, ["batch", len(shift)]))
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(target))


def _read(path: Path) -> onnx.ModelProto:
    require_readable(path)
    try:
        model = onnx.load(str(path))
    except (DecodeError, OSError) as error:
        raise ModelFileError(f"{path} cannot be read as ONNX: {error}") from error
    return model


def _last_layer(model: onnx.ModelProto, path: Path) -> tuple[onnx.NodeProto, int]:
    """Returns the node of the last layer and the number of its input features."""
    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output}
    sizes = {one.name: tuple(one.dims) for one in graph.initializer}
    if not graph.output:
        raise ModelFileError(f"{path} has no output: export it again")
    node = makers.get(graph.output[0].name)
    while node is not None and node.op_type in _BEHIND:
        node = next((makers[name] for name in node.input if name in makers), None)
    weights = "" if node is None or len(node.input) < 2 else node.input[1]
    if node is None or node.op_type not in ("Gemm", "MatMul") or len(sizes.get(weights, ())) != 2:
        ending = "nothing" if node is None else node.op_type
        raise ModelFileError(f"{path} ends in {ending} instead of a fully connected layer: it cannot be used as a base")
    turned = any(one.name == "transB" and one.i for one in node.attribute)
    return node, sizes[weights][1 if turned else 0]


def _end_with(model: onnx.ModelProto, features: str, width: int) -> None:
    """Removes everything after `features` and makes it the output `FEATURES`."""
    graph = model.graph
    if features != FEATURES:
        graph.node.append(helper.make_node("Flatten", [features], [FEATURES], axis=1))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["batch", width]))
    needed, kept = {FEATURES}, []
    for node in reversed(graph.node):
        if needed & set(node.output):
            needed |= set(node.input)
            kept.append(node)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    fed = [one for one in graph.input if one.name in needed]  # older files list their weights among the inputs
    del graph.input[:]
    graph.input.extend(fed)
    used = [one for one in graph.initializer if one.name in needed]
    del graph.initializer[:]
    graph.initializer.extend(used)
    del graph.value_info[:]
