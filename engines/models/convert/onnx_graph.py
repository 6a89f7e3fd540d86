"""Builds an ONNX graph node by node, and checks it before writing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from sightd.engines.errors import ConversionError

OPSET = 13
_IR_VERSION = 8

Shape = Sequence[int | str]


class OnnxGraph:
    """A graph with float32 inputs and outputs whose first axis is dynamic. Names are generated as nodes are added."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def add(self, op: str, inputs: Sequence[str | NDArray[Any]], name: str = "", **attributes: Any) -> str:
        """Adds a node and returns the name of its single output. Arrays among its inputs become constants."""
        name = name or f"{op}_{len(self._nodes)}"
        names = [i if isinstance(i, str) else self.constant(f"constant_{len(self._constants)}", i) for i in inputs]
        self._nodes.append(helper.make_node(op, names, [name], name=name, **attributes))
        return name

    def constant(self, name: str, array: NDArray[Any]) -> str:
        """Adds a constant with the given name, and returns the name."""
        self._constants.append(numpy_helper.from_array(np.asarray(array, order="C"), name))
        return name

    def save(self, path: Path, inputs: Mapping[str, Shape], outputs: Mapping[str, Shape], origin: str) -> None:
        """Checks and writes the graph. Shapes exclude the batch axis and use names for open axes. `origin` describes
        what it was made from. Raises ConversionError if the graph is invalid."""
        graph = helper.make_graph(self._nodes, self._name, _infos(inputs), _infos(outputs), self._constants)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="sightd", doc_string=origin
        )
        model.ir_version = _IR_VERSION
        try:
            onnx.checker.check_model(model, full_check=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            raise ConversionError(f"{self._name}: the converted model is not valid ONNX: {error}") from error
        onnx.save(model, str(path))


def _infos(shapes: Mapping[str, Shape]) -> list[onnx.ValueInfoProto]:
    return [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", *shape]) for n, shape in shapes.items()]
