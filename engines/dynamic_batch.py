"""Turns models exported for a single image into models with a dynamic batch size."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from sightd.engines.errors import ConversionError

_AXIS = "batch"


def with_dynamic_batch(model: onnx.ModelProto) -> onnx.ModelProto:
    """Returns a copy whose inputs and outputs have a dynamic first axis, or the model itself if its inputs already
    have.

    A reshape to a fixed batch of 1 is changed to keep the incoming batch size. The file does not show whether the model
    then treats the images of a batch independently, so compare its outputs with those of single images. Raises
    ConversionError if an input has a fixed batch other than 1.
    """
    constants = {constant.name: constant for constant in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    firsts = [value.type.tensor_type.shape.dim[0].dim_value for value in inputs if value.type.tensor_type.shape.dim]
    if not any(firsts):
        return model
    if set(firsts) != {1} or len(firsts) != len(inputs):
        raise ConversionError(
            f"{model.graph.name}: its inputs have batch sizes {firsts}; only a batch size of 1 can be made dynamic"
        )
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    graph = opened.graph
    for value in [*graph.input, *graph.output]:
        dims = value.type.tensor_type.shape.dim
        if value.name not in constants and dims:
            dims[0].dim_param = _AXIS
    del graph.value_info[:]  # intermediate shapes, which were inferred for one image
    for node in graph.node:
        if node.op_type == "Reshape":
            _open_reshape(graph, node)
    return opened


def _open_reshape(graph: onnx.GraphProto, node: onnx.NodeProto) -> None:
    """Changes a leading 1 of the reshape's target shape to 0, which means "copy this axis from the input"."""
    for constant in graph.initializer:
        if constant.name == node.input[1]:
            target = numpy_helper.to_array(constant)
            if target.size > 1 and target[0] == 1:
                name = f"{constant.name}.{node.output[0]}.{_AXIS}"
                graph.initializer.append(numpy_helper.from_array(np.concatenate([[0], target[1:]]), name))
                node.input[1] = name
            return
