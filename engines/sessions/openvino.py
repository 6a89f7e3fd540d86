"""Runs models on the CPU with OpenVINO. The library is imported when the first session is created."""

from __future__ import annotations

import importlib
import platform
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from sightd.engines.errors import BackendUnavailableError, EngineError, ModelFileError
from sightd.engines.models.onnx_file import read_io_spec
from sightd.engines.session import Backend, Tensor, TensorSpec, batch_is_one, by_rows, require

_DOT_PRODUCTS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})


def sums_int8_exactly(cpuinfo: Path = Path("/proc/cpuinfo"), machine: str = platform.machine()) -> bool:
    """Returns whether sums of products of unsigned and signed bytes are accumulated in 32 bits.

    x86 processors without VNNI add two such products in 16 bits and saturate (VPMADDUBSW). `cpuinfo` is the path of the
    kernel's CPU list. Returns False if it cannot be read.
    """
    if machine not in ("x86_64", "AMD64"):
        return True
    try:
        told = cpuinfo.read_text()
    except OSError:
        return False
    for line in told.splitlines():
        name, _, flags = line.partition(":")
        if name.strip() == "flags":
            return not _DOT_PRODUCTS.isdisjoint(flags.split())
    return False


_HINTS: Mapping[str, str] = {"fp32": "f32", "bf16": "bf16", "fp16": "f16", "int8": "f32"}
"""The parts of an int8 file that are not quantised are computed in fp32. Always set explicitly, because on some
processors the library chooses bf16 on its own, which changes the results."""
_NEEDS: Mapping[str, str] = {"bf16": "BF16", "fp16": "FP16"}


class OpenVinoSession:
    """An ONNX file on the CPU. Up to `parallel` runs execute at once, each with `threads` threads; further ones wait. A
    file whose batch is fixed at 1 accepts any batch and runs once per row.
    """

    def __init__(self, path: Path, threads: int, *, parallel: int = 1, precision: str = "fp32") -> None:
        """Loads the file. Raises ModelFileError if it is not a valid ONNX file, and BackendUnavailableError if the
        library is not installed or cannot run the model, or if the processor does not support `precision`.
        """
        names = list(read_io_spec(path).outputs)
        self._path = path
        compiled = _compile(path, precision, threads, parallel)
        self.inputs = {spec.name: spec for spec in (_spec(port, port.any_name) for port in compiled.inputs)}
        self.outputs = {name: _spec(port, name) for name, port in zip(names, compiled.outputs, strict=True)}
        self._one_by_one = batch_is_one(self.inputs)
        self.backend = Backend("openvino", "cpu", precision)
        self._requests = _InferRequests([compiled.create_infer_request() for _ in range(parallel)])

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Runs one batch; see `Session.run`. Raises EngineError if names, shapes or dtypes do not match the file."""
        if self._one_by_one:
            return by_rows(self._run, inputs)
        return self._run(inputs)

    def close(self) -> None:
        """Releases the memory when the current runs have finished."""
        self._requests.close()

    def _run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        require(self.inputs, inputs, self._path.name)
        with self._requests.one() as request:
            if request is None:
                raise EngineError(f"{self._path.name}: called after close")
            try:
                # Inputs are read in place, as the call blocks until the run ends. Outputs are copied, as their memory
                # is reused.
                results = request.infer(dict(inputs), share_inputs=True, share_outputs=False)
            except RuntimeError as error:  # the library raises no other type
                raise EngineError(f"{self._path.name} failed on OpenVINO: {error}") from error
            return {name: np.array(results[index]) for index, name in enumerate(self.outputs)}


class _InferRequests:
    """The inference requests of a session. Each is used by one thread at a time."""

    def __init__(self, requests: list[Any]) -> None:
        self._free = requests
        self._closed = False
        self._change = threading.Condition()

    @contextmanager
    def one(self) -> Iterator[Any]:
        """Waits for a free request and lends it for the block. Yields None after `close`."""
        with self._change:
            self._change.wait_for(lambda: self._free or self._closed)
            request = None if self._closed else self._free.pop()
        try:
            yield request
        finally:
            with self._change:
                if not self._closed:
                    self._free.append(request)
                    self._change.notify()

    def close(self) -> None:
        """Drops the free requests now, and the others when they are returned."""
        with self._change:
            self._closed = True
            self._free.clear()
            self._change.notify_all()


def _compile(path: Path, precision: str, threads: int, parallel: int) -> Any:
    openvino = _library()
    core = openvino.Core()
    needed = _NEEDS.get(precision)
    if needed and needed not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise BackendUnavailableError(f"this processor does not support {precision}")
    if precision == "int8" and not sums_int8_exactly():
        raise BackendUnavailableError(
            "this processor has no VNNI, without which OpenVINO's int8 sums overflow; use ONNX Runtime"
        )
    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": parallel,
        "INFERENCE_NUM_THREADS": threads * parallel,
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "ENABLE_CPU_PINNING": False,  # decoding and encoding need the same cores
    }
    try:
        network = core.read_model(str(path))
    except RuntimeError as error:
        raise ModelFileError(f"{path} cannot be loaded by OpenVINO: {error}. Is it a complete ONNX file?") from error
    try:
        return core.compile_model(network, "CPU", options)
    except RuntimeError as error:
        raise BackendUnavailableError(f"OpenVINO cannot run {path.name}: {error}") from error


def _library() -> Any:
    """Imports the library. Importing `engines` has already disabled its telemetry."""
    try:
        return importlib.import_module("openvino")
    except ImportError as error:
        raise BackendUnavailableError(
            f"openvino cannot be imported ({error}): pip install 'sightd[openvino]'"
        ) from error


def _spec(port: Any, name: str) -> TensorSpec:
    shape = tuple(None if axis.is_dynamic else axis.get_length() for axis in port.partial_shape)
    return TensorSpec(name, shape, np.dtype(port.element_type.to_dtype()))
