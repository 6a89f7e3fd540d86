"""Small ONNX files that need excessive memory or time when they are loaded or run, as classifiers of two classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

_ELEMENTS = 1 << 34
"""64 GiB of float32."""


def classifier(path: Path, nodes: Sequence[NodeProto], constants: Mapping[str, object] | None = None) -> Path:
    """Writes a model from `x` [1, 3, 32, 32] to `y` [1, 2]. `nodes` compute `big` from `x`; `y` holds its mean
    twice."""
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()]
    initializers.append(numpy_helper.from_array(np.array([1, 1], np.int64), "one_by_one"))
    ending = [
        helper.make_node("ReduceMean", ["big"], ["mean"], keepdims=0),
        helper.make_node("Reshape", ["mean", "one_by_one"], ["score"]),
        helper.make_node("Concat", ["score", "score"], ["y"], axis=1),
    ]
    graph = helper.make_graph(
        [*nodes, *ending],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 32, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def node(kind: str, *inputs: str, output: str = "big", **attributes: Any) -> NodeProto:
    return helper.make_node(kind, list(inputs), [output], **attributes)


def loop(trips: int) -> tuple[list[NodeProto], dict[str, object]]:
    """Returns nodes and constants that add the image to itself `trips` times."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_on"], ["still"]),
            helper.make_node("Add", ["sum", "sum"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, [1, 3, 32, 32]),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, [1, 3, 32, 32]),
        ],
    )
    constants: dict[str, object] = {"trips": np.array(trips, np.int64), "yes": np.array(True)}
    return [node("Loop", "trips", "yes", "x", body=body)], constants


def sparse(path: Path) -> Path:
    """Writes a model with a constant of two values that claims to be a matrix of 128 GiB."""
    values = helper.make_tensor("matrix", TensorProto.FLOAT, [2], [1.0, 2.0])
    indices = helper.make_tensor("indices", TensorProto.INT64, [2], [0, 5])
    model = onnx.load(str(classifier(path, [node("Identity", "matrix")])))
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [1 << 17, 1 << 18]))
    path.write_bytes(model.SerializeToString())
    return path


def _of_nodes(nodes: Sequence[NodeProto], **constants: object) -> Callable[[Path], Path]:
    return lambda path: classifier(path, nodes, constants)


_COMPUTED = [
    node("ReduceMax", "x", output="most", keepdims=0),
    node("Mul", "most", "nothing", output="zero"),
    node("Add", "zero", "many", output="count"),
    node("Cast", "count", output="whole", to=TensorProto.INT64),
    node("Reshape", "whole", "one", output="shape"),
    node("ConstantOfShape", "shape"),
]
_SCALE = {"scales": np.array([1, 1, 5000, 5000], np.float32)}
HUNGRY: Mapping[str, Callable[[Path], Path]] = {
    "ConstantOfShape": _of_nodes([node("ConstantOfShape", "shape")], shape=np.array([_ELEMENTS])),
    "a computed shape": _of_nodes(
        _COMPUTED, nothing=np.float32(0), many=np.float32(_ELEMENTS), one=np.array([1], np.int64)
    ),
    "Expand": _of_nodes([node("Expand", "x", "shape")], shape=np.array([_ELEMENTS >> 10, 3, 32, 32])),
    "Tile": _of_nodes([node("Tile", "x", "times")], times=np.array([1 << 22, 1, 1, 1])),
    "Resize": _of_nodes([node("Resize", "x", "", "scales")], **_SCALE),
    "Pad": _of_nodes([node("Pad", "x", "pads")], pads=np.array([0, 0, 0, 0, _ELEMENTS >> 10, 0, 0, 0])),
    "Range": _of_nodes(
        [node("Range", "start", "end", "step")],
        start=np.array(0, np.float32), end=np.array(_ELEMENTS, np.float32), step=np.array(1, np.float32),
    ),
    "RandomNormal": _of_nodes([node("RandomNormal", shape=[1 << 17, 1 << 17])]),
    "a size that overflows": _of_nodes([node("ConstantOfShape", "shape")], shape=np.array([1 << 40, 1 << 40])),
    "a sparse constant": sparse,
}  # fmt: skip
"""Writers of models that need too much memory, by the operator that allocates it."""


def endless(path: Path) -> Path:
    nodes, constants = loop(1 << 62)
    return classifier(path, nodes, constants)
