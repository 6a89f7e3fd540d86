"""Edits ONNX files: fp16 instead of fp32, a dynamic batch size, and the head of a classifier."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.transformers import float16
from onnxruntime.transformers.onnx_model import OnnxModel

from sightd.engines.errors import ConversionError, ModelFileError
from sightd.engines.models.onnx_file import precision_of, require_readable


def to_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Returns a new model that computes in fp16 but has the same inputs and outputs, including fp32 ones.

    Weights outside the range of fp16 are clamped. Operators that lose accuracy in fp16 or do not support it (Resize's
    scales, Range, TopK, …) stay in fp32 between casts. Raises ConversionError if the model is not fp32 or cannot be
    converted.
    """
    precision = precision_of(model.graph)
    if precision != "fp32":
        raise ConversionError(f"{model.graph.name} is {precision}; only an fp32 model can be converted to fp16")
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    try:
        half: onnx.ModelProto = float16.convert_float_to_float16(copy, keep_io_types=True)
        OnnxModel.graph_topological_sort(half.graph, is_deterministic=True)  # added casts follow their users
        onnx.checker.check_model(half, full_check=True)
    except (ValueError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ConversionError(f"{model.graph.name} cannot be converted to fp16: {error}") from error
    _require_io(model.graph, half.graph)
    return half


def _require_io(before: onnx.GraphProto, after: onnx.GraphProto) -> None:
    def ends(graph: onnx.GraphProto) -> list[tuple[str, int]]:
        return [(value.name, value.type.tensor_type.elem_type) for value in [*graph.input, *graph.output]]

    constants = {constant.name for constant in before.initializer}
    wanted = [end for end in ends(before) if end[0] not in constants]
    found = [end for end in ends(after) if end[0] not in constants]
    if wanted != found:
        names = ", ".join(f"{name} {TensorProto.DataType.Name(kind)}" for name, kind in found)
        raise ConversionError(f"{before.name}: the inputs or outputs changed in the conversion to fp16: {names}")


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
