"""Networks that were exported for one picture, made to take any number of them."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from sightd.engines.errors import ConversionError

_AXIS = "batch"


def with_dynamic_batch(model: onnx.ModelProto) -> onnx.ModelProto:
    """A new model whose inputs and outputs have an open first axis; the same model where they have one already.

    A reshape to a stated batch of 1 becomes one to "as many as come in". Whether the network then keeps its pictures
    apart cannot be told from the file: hold its outputs against those of single pictures. ConversionError where an
    input has another fixed batch than 1.
    """
    constants = {constant.name: constant for constant in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    firsts = [value.type.tensor_type.shape.dim[0].dim_value for value in inputs if value.type.tensor_type.shape.dim]
    if not any(firsts):
        return model
    if set(firsts) != {1} or len(firsts) != len(inputs):
        raise ConversionError(f"{model.graph.name}: its inputs have batches {firsts}; only a batch of 1 can be opened")
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    graph = opened.graph
    for value in [*graph.input, *graph.output]:
        dims = value.type.tensor_type.shape.dim
        if value.name not in constants and dims:
            dims[0].dim_param = _AXIS
    del graph.value_info[:]  # shapes in between, of a single picture
    for node in graph.node:
        if node.op_type == "Reshape":
            _open_reshape(graph, node)
    return opened


def _open_reshape(graph: onnx.GraphProto, node: onnx.NodeProto) -> None:
    """In a reshape's target 0 stands for the axis as it comes in."""
    for constant in graph.initializer:
        if constant.name == node.input[1]:
            target = numpy_helper.to_array(constant)
            if target.size > 1 and target[0] == 1:
                name = f"{constant.name}.{node.output[0]}.{_AXIS}"
                graph.initializer.append(numpy_helper.from_array(np.concatenate([[0], target[1:]]), name))
                node.input[1] = name
            return
