"""Networks on the CPU with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as native

from engines.errors import EngineError, ModelFileError
from engines.session import Backend, Tensor, TensorSpec

_DTYPES: Mapping[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
}
_FAULTS = (
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
_ERRORS_ONLY = 3


class OnnxRuntimeSession:
    """An ONNX file on the CPU. `run` from several threads at once is fine, they share the session's own `threads`.

    Those threads sleep while there is nothing to do: spinning, the library's default, takes the cores away from
    decoding and encoding. A file whose batch is fixed at 1 takes any batch: it is run once for each row.
    """

    def __init__(self, path: Path, threads: int) -> None:
        """Loads the file; ModelFileError where it is none. `threads` work on one run together."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = _ERRORS_ONLY
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        self._path = path
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except _FAULTS as error:
            raise ModelFileError(f"{path} cannot be loaded: {error}. Is it a complete ONNX file?") from error
        self._session: onnxruntime.InferenceSession | None = session
        self._inputs = {spec.name: spec for spec in map(self._spec, session.get_inputs())}
        self._outputs = {spec.name: spec for spec in map(self._spec, session.get_outputs())}
        self._one_by_one = all(spec.shape and spec.shape[0] == 1 for spec in self._inputs.values())
        half = any(spec.dtype == np.float16 for spec in self._inputs.values())
        self._backend = Backend("onnxruntime-cpu", "cpu", "fp16" if half else "fp32")

    @property
    def backend(self) -> Backend:
        return self._backend

    @property
    def inputs(self) -> Mapping[str, TensorSpec]:
        return self._inputs

    @property
    def outputs(self) -> Mapping[str, TensorSpec]:
        return self._outputs

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Runs one batch; see `Session.run`. EngineError where names, shapes or dtypes are not the file's."""
        rows = max((len(tensor) for tensor in inputs.values() if tensor.ndim), default=1)
        if not self._one_by_one or rows == 1:
            return self._run(inputs)
        parts = [self._run({n: tensor[row : row + 1] for n, tensor in inputs.items()}) for row in range(rows)]
        return {name: np.concatenate([part[name] for part in parts]) for name in self._outputs}

    def warm_up(self) -> None:
        """One run on zeros, so that the first picture does not pay for what the library sets up late."""
        self._run(
            {spec.name: np.zeros([axis or 1 for axis in spec.shape], spec.dtype) for spec in self._inputs.values()}
        )

    def close(self) -> None:
        """Gives the memory back once runs under way have ended."""
        self._session = None

    def _run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        session = self._session
        if session is None:
            raise EngineError(f"{self._path.name}: run after close")
        try:
            results = session.run(list(self._outputs), dict(inputs))
        except (*_FAULTS, ValueError) as error:
            wanted = ", ".join(f"{spec.name} {spec.dtype} {list(spec.shape)}" for spec in self._inputs.values())
            raise EngineError(f"{self._path.name} cannot be run: {error}. It takes {wanted}") from error
        return dict(zip(self._outputs, results, strict=True))

    def _spec(self, argument: Any) -> TensorSpec:
        dtype = _DTYPES.get(argument.type)
        if dtype is None:
            raise ModelFileError(f"{self._path}: {argument.name} is of type {argument.type}, which is not supported")
        shape = tuple(axis if isinstance(axis, int) and axis > 0 else None for axis in argument.shape)
        return TensorSpec(argument.name, shape, np.dtype(dtype))
