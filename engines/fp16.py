"""Converts fp32 ONNX models to fp16: weights and arithmetic in half the size, with inputs and outputs still fp32.

For backends that run a model in the precision of its file (TensorRT 11, ONNX Runtime with CUDA). On a CPU this brings
no benefit.
"""

from __future__ import annotations

import onnx
from onnx import TensorProto
from onnxruntime.transformers import float16
from onnxruntime.transformers.onnx_model import OnnxModel

from sightd.engines.errors import ConversionError
from sightd.engines.onnx_file import precision_of


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
