"""Small ONNX files in the formats of the exporters of detectors, which the real ONNX Runtime runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SIZES = "orig_target_sizes"
_NAMES = {index: f"class {index}" for index in range(3)}


def ultralytics(task: str = "detect", names: Mapping[int, str] | None = None, **more: str) -> dict[str, str]:
    """Returns the metadata that Ultralytics writes."""
    return {
        "description": "Ultralytics YOLO11n model",
        "author": "Ultralytics",
        "stride": "32",
        "task": task,
        "batch": "1",
        "imgsz": "[64, 96]",
        "names": repr(dict(_NAMES if names is None else names)),
        "channels": "3",
        "args": "{'batch': 1, 'half': False, 'dynamic': False, 'nms': False}",
        **more,
    }


def write_export(
    path: Path,
    outputs: Mapping[str, NDArray[Any]],
    *,
    shape: tuple[int | str, ...] = ("batch", 3, 64, 96),
    dtype: str = "float32",
    image: str = "images",
    size_dtype: str | None = None,
    metadata: Mapping[str, str] | None = None,
    outside: str = "",
) -> Path:
    """Writes a model that returns each output's array [n, …], of its own dtype, for every image of a batch.

    With `size_dtype` it has a second input `orig_target_sizes` [batch, 2], by which its output `boxes` is multiplied.
    With `outside`, its constants are in another file of that name.
    """
    axes = [1, 2, 3]
    nodes = [
        helper.make_node("Cast", [image], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float"], ["mean"], axes=axes, keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nought"]),
    ]
    constants = [numpy_helper.from_array(np.zeros(1, np.float32), "zero")]
    inputs = [helper.make_tensor_value_info(image, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), list(shape))]
    if size_dtype is not None:
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(size_dtype))
        inputs.append(helper.make_tensor_value_info(SIZES, kind, [shape[0], 2]))
        nodes += [
            helper.make_node("Cast", [SIZES], ["size"], to=TensorProto.FLOAT),
            helper.make_node("Concat", ["size", "size"], ["corners"], axis=1),
            helper.make_node("Unsqueeze", ["corners", "one"], ["scale"]),
        ]
        constants.append(numpy_helper.from_array(np.array([1], np.int64), "one"))
    values = []
    for name, array in outputs.items():
        constants += [
            numpy_helper.from_array(np.array([-1] + [1] * array.ndim, np.int64), f"{name}.shape"),
            numpy_helper.from_array(array[None].astype(np.float32), f"{name}.constant"),
        ]
        nodes += [
            helper.make_node("Reshape", ["nought", f"{name}.shape"], [f"{name}.nought"]),
            helper.make_node("Add", [f"{name}.nought", f"{name}.constant"], [f"{name}.sum"]),
        ]
        last = f"{name}.sum"
        if name == "boxes" and size_dtype is not None:
            nodes.append(helper.make_node("Mul", [last, "scale"], [f"{name}.scaled"]))
            last = f"{name}.scaled"
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        nodes.append(helper.make_node("Cast", [last], [name], to=kind))
        values.append(helper.make_tensor_value_info(name, kind, [shape[0], *array.shape]))
    graph = helper.make_graph(nodes, "export", inputs, values, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(model, dict(metadata or {}))
    onnx.checker.check_model(model)
    if outside:
        onnx.save(model, str(path), save_as_external_data=True, location=outside, size_threshold=256)
    else:
        onnx.save(model, str(path))
    return path
