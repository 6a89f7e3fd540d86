"""An ONNX graph that grows node by node, and is checked before it is written."""

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
    """Float32 inputs and outputs with a dynamic first axis; names are made up as nodes are added."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def add(self, op: str, inputs: Sequence[str | NDArray[Any]], name: str = "", **attributes: Any) -> str:
        """Adds a node; arrays among its inputs become constants. The name of its one output."""
        name = name or f"{op}_{len(self._nodes)}"
        names = [i if isinstance(i, str) else self.constant(f"constant_{len(self._constants)}", i) for i in inputs]
        self._nodes.append(helper.make_node(op, names, [name], name=name, **attributes))
        return name

    def constant(self, name: str, array: NDArray[Any]) -> str:
        """Adds a constant of a name of its own, which is given back."""
        self._constants.append(numpy_helper.from_array(np.asarray(array, order="C"), name))
        return name

    def save(self, path: Path, inputs: Mapping[str, Shape], outputs: Mapping[str, Shape], origin: str) -> None:
        """Checks and writes the graph. Shapes are those behind the batch, with names for open axes; `origin` says what
        it was made from."""
        graph = helper.make_graph(self._nodes, self._name, _infos(inputs), _infos(outputs), self._constants)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="sightd", doc_string=origin
        )
        model.ir_version = _IR_VERSION
        try:
            onnx.checker.check_model(model, full_check=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            raise ConversionError(f"{self._name}: the converted network is not valid ONNX: {error}") from error
        onnx.save(model, str(path))


def _infos(shapes: Mapping[str, Shape]) -> list[onnx.ValueInfoProto]:
    return [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", *shape]) for n, shape in shapes.items()]
