"""The face networks of the OpenCV zoo as they are published, for batches and, in YuNet's case, pictures of any size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import helper, numpy_helper

from sightd.engines.errors import ConversionError

_BATCH = "batch"


def convert_yunet(source: Path, target: Path) -> None:
    """YuNet leaves its batch and its size open: fed [b, 3, h, w] with h and w multiples of 32.

    The file is made for 1 x 3 x 640 x 640; what holds it to that are the shapes that it states and the batch of 1 in
    the constants of its last reshapes. ConversionError where it is another network.
    """
    model = _read(source)
    graph = model.graph
    inputs = _fed(graph)
    if [one.name for one in inputs] != ["input"] or len(graph.output) != 12:
        raise ConversionError(f"{source.name}: not YuNet, which takes `input` and gives 12 outputs")
    _open(inputs[0], {0: _BATCH, 2: "height", 3: "width"})
    for output in graph.output:
        _open(output, {0: _BATCH, 1: f"cells_{output.name.rpartition('_')[2]}"})
    reshapes = {node.input[1] for node in graph.node if node.op_type == "Reshape"}
    for constant in graph.initializer:
        if constant.name in reshapes:
            shape = numpy_helper.to_array(constant)
            if shape.tolist()[:2] == [1, -1]:
                as_fed = np.concatenate(([0], shape[1:])).astype(np.int64)  # 0: the first axis stays as it comes
                constant.CopyFrom(numpy_helper.from_array(as_fed, constant.name))
    _write(model, target)


def convert_sface(source: Path, target: Path) -> None:
    """SFace takes batches, and its weights are no inputs any more. ConversionError where it is another network."""
    model = _read(source)
    graph = model.graph
    inputs = _fed(graph)
    if [one.name for one in inputs] != ["data"] or len(graph.output) != 1:
        raise ConversionError(f"{source.name}: not SFace, which takes `data` and gives one output")
    del graph.input[:]
    graph.input.extend(inputs)
    _open(graph.input[0], {0: _BATCH})
    _open(graph.output[0], {0: _BATCH})
    _without_prelu(graph)
    _write(model, target)


def _without_prelu(graph: onnx.GraphProto) -> None:
    """PRelu(x, a) = a · x + (1 - a) · Relu(x): ONNX Runtime's own PRelu costs half of the network."""
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
    """Inputs that are no weights."""
    weights = {one.name for one in graph.initializer}
    return [one for one in graph.input if one.name not in weights]


def _open(end: onnx.ValueInfoProto, axes: dict[int, str]) -> None:
    for axis, name in axes.items():
        end.type.tensor_type.shape.dim[axis].Clear()
        end.type.tensor_type.shape.dim[axis].dim_param = name


def _write(model: onnx.ModelProto, target: Path) -> None:
    del model.graph.value_info[:]  # shapes between, for the size that it was made for
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ConversionError(f"the converted network is not valid ONNX: {error}") from error
    onnx.save(model, str(target))
