"""Converts the published face models of the OpenCV Zoo, for batches and, in the case of YuNet, images of any size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import helper, numpy_helper

from sightd.engines.errors import ConversionError

_BATCH = "batch"


def convert_yunet(source: Path, target: Path) -> None:
    """Converts YuNet to a dynamic batch and size: input [b, 3, h, w] with h and w multiples of 32.

    The published file is made for 1 x 3 x 640 x 640. It is bound to this only by its stated shapes and by the batch of
    1 in the constants of its last reshapes. Raises ConversionError if the file contains another model.
    """
    model = _read(source)
    graph = model.graph
    inputs = _fed(graph)
    if [one.name for one in inputs] != ["input"] or len(graph.output) != 12:
        raise ConversionError(f"{source.name} is not YuNet, which has the input `input` and 12 outputs")
    _open(inputs[0], {0: _BATCH, 2: "height", 3: "width"})
    for output in graph.output:
        _open(output, {0: _BATCH, 1: f"cells_{output.name.rpartition('_')[2]}"})
    reshapes = {node.input[1] for node in graph.node if node.op_type == "Reshape"}
    for constant in graph.initializer:
        if constant.name in reshapes:
            shape = numpy_helper.to_array(constant)
            if shape.tolist()[:2] == [1, -1]:
                as_fed = np.concatenate(([0], shape[1:])).astype(np.int64)  # 0: keep the first axis
                constant.CopyFrom(numpy_helper.from_array(as_fed, constant.name))
    _write(model, target)


def convert_sface(source: Path, target: Path) -> None:
    """Converts SFace to a dynamic batch, and removes its weights from its inputs. Raises ConversionError if the file
    contains another model."""
    model = _read(source)
    graph = model.graph
    inputs = _fed(graph)
    if [one.name for one in inputs] != ["data"] or len(graph.output) != 1:
        raise ConversionError(f"{source.name} is not SFace, which has the input `data` and one output")
    del graph.input[:]
    graph.input.extend(inputs)
    _open(graph.input[0], {0: _BATCH})
    _open(graph.output[0], {0: _BATCH})
    _without_prelu(graph)
    _write(model, target)


def _without_prelu(graph: onnx.GraphProto) -> None:
    """Replaces PRelu(x, a) with a · x + (1 - a) · Relu(x), because ONNX Runtime's PRelu takes half the run time of the
    model."""
    nodes, weights = [], {one.name: one for one in graph.initializer}
    for node in graph.node:
        if node.op_type != "PRelu":
            nodes.append(node)
            continue
        x, slope = node.input
        name = node.output[0]
        rest, above, raised, sloped = (f"{name}_{part}" for part in ("rest", "above", "raised", "sloped"))
        numbers = numpy_helper.to_array(weights[slope])
        graph.initializer.append(numpy_helper.from_array(1 - numbers, rest))
        nodes += [
            helper.make_node("Relu", [x], [above]),
            helper.make_node("Mul", [above, rest], [raised]),
            helper.make_node("Mul", [x, slope], [sloped]),
            helper.make_node("Add", [sloped, raised], [name]),
        ]
    del graph.node[:]
    graph.node.extend(nodes)


def _read(source: Path) -> onnx.ModelProto:
    try:
        return onnx.load(str(source))
    except (DecodeError, OSError) as error:
        raise ConversionError(f"{source.name} cannot be read as ONNX: {error}") from error


def _fed(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """Returns the inputs that are not weights."""
    weights = {one.name for one in graph.initializer}
    return [one for one in graph.input if one.name not in weights]


def _open(end: onnx.ValueInfoProto, axes: dict[int, str]) -> None:
    for axis, name in axes.items():
        end.type.tensor_type.shape.dim[axis].Clear()
        end.type.tensor_type.shape.dim[axis].dim_param = name


def _write(model: onnx.ModelProto, target: Path) -> None:
    del model.graph.value_info[:]  # intermediate shapes, for the original size
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ConversionError(f"the converted model is not valid ONNX: {error}") from error
    onnx.save(model, str(target))
