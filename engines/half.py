"""fp32 networks as fp16 ONNX: weights and arithmetic in half the bytes, inputs and outputs still fp32.

For backends that run a network in the precision in which it is written (TensorRT 11, ONNX Runtime on CUDA). A CPU gains
nothing by it.
"""

from __future__ import annotations

import onnx
from onnx import TensorProto
from onnxruntime.transformers import float16
from onnxruntime.transformers.onnx_model import OnnxModel

from sightd.engines.errors import ConversionError
from sightd.engines.onnx_file import precision_of


def to_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """A new model with the same inputs and outputs, fp32 ones included, that computes in fp16.

    Weights beyond fp16's range are cut to it. Operators that fp16 would harm or that do not take it (Resize's scales,
    Range, TopK, …) stay fp32 between casts. ConversionError where the network is not fp32, or does not survive it.
    """
    precision = precision_of(model.graph)
    if precision != "fp32":
        raise ConversionError(f"{model.graph.name}: it is {precision}; only an fp32 network can be made fp16")
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    try:
        half: onnx.ModelProto = float16.convert_float_to_float16(copy, keep_io_types=True)
        OnnxModel.graph_topological_sort(half.graph, is_deterministic=True)  # casts were put behind their users
        onnx.checker.check_model(half, full_check=True)
    except (ValueError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ConversionError(f"{model.graph.name} cannot be made fp16: {error}") from error
    _require_ends(model.graph, half.graph)
    return half


def _require_ends(before: onnx.GraphProto, after: onnx.GraphProto) -> None:
    def ends(graph: onnx.GraphProto) -> list[tuple[str, int]]:
        return [(value.name, value.type.tensor_type.elem_type) for value in [*graph.input, *graph.output]]

    constants = {constant.name for constant in before.initializer}
    wanted = [end for end in ends(before) if end[0] not in constants]
    found = [end for end in ends(after) if end[0] not in constants]
    if wanted != found:
        names = ", ".join(f"{name} {TensorProto.DataType.Name(kind)}" for name, kind in found)
        raise ConversionError(f"{before.name}: made fp16 it has other inputs and outputs: {names}")
