"""Runs models on the CPU with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as native

from sightd.engines.errors import EngineError, ModelFileError
from sightd.engines.models.onnx_file import read_precision
from sightd.engines.session import Backend, Tensor, TensorSpec, batch_is_one, by_rows, described

_DTYPES: Mapping[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
}
FAULTS = (
    native.EPFail,
    native.Fail,
    native.InvalidArgument,
    native.InvalidGraph,
    native.InvalidProtobuf,
    native.NoModel,
    native.NoSuchFile,
    native.NotImplemented,
    native.RuntimeException,
)
"""Exceptions that the library raises."""
_ERRORS_ONLY = 3


class OnnxRuntimeSession:
    """An ONNX file on the CPU. `run` may be called from several threads at once; they share the session's `threads`.

    Idle threads sleep. Spinning, the library's default, would take CPU time from decoding and encoding. A file whose
    batch is fixed at 1 accepts any batch and runs once per row.
    """

    def __init__(self, path: Path, threads: int) -> None:
        """Loads the file; `threads` threads share one run. Raises ModelFileError if it is not a valid ONNX file."""
        options = session_options(threads)
        self._path = path
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except FAULTS as error:
            raise ModelFileError(f"{path} cannot be loaded: {error}. Is it a complete ONNX file?") from error
        self._session: onnxruntime.InferenceSession | None = session
        self.inputs = tensor_specs(path, session.get_inputs())
        self.outputs = tensor_specs(path, session.get_outputs())
        self._one_by_one = batch_is_one(self.inputs)
        self.backend = Backend("onnxruntime-cpu", "cpu", read_precision(path))

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Runs one batch; see `Session.run`. Raises EngineError if names, shapes or dtypes do not match the file."""
        return by_rows(self._run, inputs) if self._one_by_one else self._run(inputs)

    def close(self) -> None:
        """Releases the memory when the current runs have finished."""
        self._session = None

    def _run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        session = self._session
        if session is None:
            raise EngineError(f"{self._path.name}: called after close")
        try:
            results = session.run(list(self.outputs), dict(inputs))
        except (*FAULTS, ValueError) as error:
            raise EngineError(
                f"{self._path.name} cannot be run: {error}. It expects {described(self.inputs)}"
            ) from error
        return dict(zip(self.outputs, results, strict=True))


def session_options(threads: int) -> onnxruntime.SessionOptions:
    """Returns session options with `threads` threads that share one run and sleep between runs."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = _ERRORS_ONLY
    options.add_session_config_entry("session.x64quantprecision", "1")  # int8: without VNNI, do not saturate at 16 bits
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options


def tensor_specs(path: Path, arguments: Iterable[Any]) -> dict[str, TensorSpec]:
    """Returns the library's inputs or outputs by name. Raises ModelFileError if a type is not supported."""
    specs = {}
    for argument in arguments:
        dtype = _DTYPES.get(argument.type)
        if dtype is None:
            raise ModelFileError(f"{path}: {argument.name} is of type {argument.type}, which is not supported")
        shape = tuple(axis if isinstance(axis, int) and axis > 0 else None for axis in argument.shape)
        specs[argument.name] = TensorSpec(argument.name, shape, np.dtype(dtype))
    return specs
