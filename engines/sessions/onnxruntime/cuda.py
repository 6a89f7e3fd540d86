"""Runs models on an NVIDIA GPU with ONNX Runtime, also on tensors that stay on the device.

Loads its CUDA libraries, finds out why they cannot be loaded, and which operators run on which provider: ONNX
Runtime silently assigns unsupported ones to the CPU.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
import onnx
import onnxruntime

from sightd.engines.errors import BackendUnavailableError, EngineError
from sightd.engines.models.onnx_edit import to_fp16
from sightd.engines.models.onnx_file import read_precision
from sightd.engines.session import Backend, Tensor, TensorSpec, batch_is_one, by_rows, described
from sightd.engines.sessions.onnxruntime.cpu import FAULTS, session_options, tensor_specs

logger = logging.getLogger(__name__)


class DeviceMemory(Protocol):
    """A block of device memory, such as the buffers of `engines.cuda`."""

    @property
    def address(self) -> int: ...

    @property
    def nbytes(self) -> int: ...


class WorkStream(Protocol):
    """A queue of device work that runs in order."""

    def synchronize(self) -> None: ...


@dataclass(frozen=True, slots=True)
class BoundMemory:
    """Memory of an output. The library frees it when `value` is garbage-collected."""

    address: int
    nbytes: int
    value: object


@dataclass(frozen=True, slots=True)
class BoundTensor:
    """A contiguous output tensor on the device."""

    buffer: BoundMemory
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class BoundRun:
    """A finished run. Its outputs are valid until `release`; use it in a `with` block around the code that reads
    them."""

    def __init__(self, outputs: Mapping[str, BoundTensor]) -> None:
        self.outputs = outputs

    def release(self) -> None:
        """Frees the outputs; work that reads them must have finished. Idempotent."""
        self.outputs = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


@dataclass(frozen=True, slots=True)
class Binding:
    """Inputs and outputs of a session on the device of type `kind` ("cuda") with number `ordinal`."""

    session: onnxruntime.InferenceSession
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    kind: str
    ordinal: int

    def run(self, inputs: Mapping[str, DeviceMemory], batch: int, stream: WorkStream) -> BoundRun:
        """Runs `batch` rows, which must be contiguous and have the model's dtypes and fixed sizes.

        Waits for `stream`, which writes the inputs, and then for the run, because the library computes on its own
        stream. May be called from several threads at once. Raises ValueError if a buffer is too small.
        """
        stream.synchronize()
        binding = self.session.io_binding()
        for name, memory in inputs.items():
            spec = self.inputs[name]
            shape = [batch, *(axis or 1 for axis in spec.shape[1:])]
            needed = int(np.prod(shape, dtype=np.int64)) * spec.dtype.itemsize
            if memory.nbytes < needed:
                raise ValueError(
                    f"{name} {spec.dtype} {shape} needs {needed} bytes, but the buffer has {memory.nbytes}"
                )
            binding.bind_input(name, self.kind, self.ordinal, spec.dtype, shape, memory.address)
        for name in self.outputs:
            binding.bind_output(name, self.kind, self.ordinal)
        binding.synchronize_inputs()
        self.session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        values = zip(self.outputs.values(), binding.get_outputs(), strict=True)
        return BoundRun({spec.name: _bound(spec, value) for spec, value in values})


def with_sides(
    inputs: Mapping[str, TensorSpec], size: tuple[int, int] | None, *, nhwc: bool = False
) -> dict[str, TensorSpec]:
    """Returns the inputs with open image sides set to `size` (width, height), because device memory does not carry a
    shape. `nhwc` says that the colours are the last axis."""
    if size is None:
        return dict(inputs)
    width, height = size
    sized = {}
    for name, spec in inputs.items():
        shape = spec.shape
        if len(shape) == 4:
            first = 1 if nhwc else 2
            sides = (shape[first] or height, shape[first + 1] or width)
            shape = (*shape[:first], *sides, *shape[first + 2 :])
        sized[name] = TensorSpec(name, shape, spec.dtype)
    return sized


def _bound(spec: TensorSpec, value: Any) -> BoundTensor:
    shape = tuple(value.shape())
    nbytes = int(np.prod(shape, dtype=np.int64)) * spec.dtype.itemsize
    return BoundTensor(BoundMemory(value.data_ptr(), nbytes, value), shape, spec.dtype)


PROVIDER = "CUDAExecutionProvider"


def missing() -> str | None:
    """Returns why this ONNX Runtime has no CUDA support, or None if it has. CUDA may still fail to start."""
    if PROVIDER in onnxruntime.get_available_providers():
        return None
    return "this ONNX Runtime has no CUDA support (install onnxruntime-gpu[cuda,cudnn] instead)"


def preload() -> None:
    """Loads CUDA and cuDNN from Python packages (nvidia-*), which the dynamic loader does not search."""
    told = io.StringIO()
    with contextlib.redirect_stdout(told):  # it prints libraries it did not find, which the system may have
        onnxruntime.preload_dlls()
    logger.debug("CUDA libraries: %s", told.getvalue().strip() or "all preloaded")


def why_not_started(folder: Path | None = None) -> str:
    """Returns the dynamic loader's error for the CUDA provider library, which ONNX Runtime does not report.

    `folder` contains that library; the default is ONNX Runtime's own folder.
    """
    path = (folder or Path(onnxruntime.__file__).parent / "capi") / "libonnxruntime_providers_cuda.so"
    try:
        ctypes.CDLL(str(path))
    except OSError as error:
        return str(error)
    return "no usable GPU or driver"


RECORD = "session.record_ep_graph_assignment_info"
"""Session option (set to "1") that makes ONNX Runtime record the assignment of operators."""

# fmt: off
_SHAPE_ARITHMETIC = frozenset({
    "Add", "Cast", "Concat", "ConstantOfShape", "Div", "Equal", "Expand", "Floor", "Gather", "Max", "Min", "Mul",
    "Range", "ReduceProd", "Shape", "Size", "Slice", "Squeeze", "Sub", "Unsqueeze", "Where",
})
# fmt: on
"""Shape arithmetic on a few integers, which providers leave to the CPU on purpose."""


def operators_by_provider(session: onnxruntime.InferenceSession) -> dict[str, Counter[str]]:
    """Returns, for each provider, how many operators of each type it runs."""
    found: dict[str, Counter[str]] = {}
    for part in session.get_provider_graph_assignment_info():
        found.setdefault(part.ep_name, Counter()).update(node.op_type for node in part.get_nodes())
    return found


def stray(operators: dict[str, Counter[str]], provider: str) -> list[str]:
    """Returns the operators that run on other providers, such as "3 Conv on CPUExecutionProvider", except shape
    arithmetic."""
    return [
        f"{count} {operator} on {other}"
        for other, counted in sorted(operators.items())
        if other != provider
        for operator, count in _worth_logging(counted.items())
    ]


def _worth_logging(counted: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    return sorted((operator, count) for operator, count in counted if operator not in _SHAPE_ARITHMETIC)


_LARGEST_BATCH = 256
"""The library has no limit; this is more than the number of cameras anyone runs on one GPU."""


class OnnxCudaSession:
    """An ONNX file that runs entirely on GPU `ordinal`. Creation fails if some of its operators would run on the CPU.

    `run` copies to the GPU and back; `run_device` leaves tensors on the GPU. Both may be called from several threads at
    once.
    """

    def __init__(
        self,
        path: Path,
        ordinal: int,
        *,
        precision: str = "fp32",
        size: tuple[int, int] | None = None,
        nhwc: bool = False,
    ) -> None:
        """Loads the file. `precision` is the file's own, or "fp16" for an fp32 file; `size` (width, height) sets image
        sides that the file leaves open; see `with_sides` for `nhwc`.

        Raises BackendUnavailableError if the provider is missing, does not start, cannot load the file, or leaves part
        of the model to the CPU.
        """
        self._path, self._ordinal = path, ordinal
        session = _open(path, ordinal, precision)
        _require_all_on_gpu(session, path.name)
        self._session: onnxruntime.InferenceSession | None = session
        self.inputs = with_sides(tensor_specs(path, session.get_inputs()), size, nhwc=nhwc)
        self.outputs = tensor_specs(path, session.get_outputs())
        self._one_by_one = batch_is_one(self.inputs)
        self.backend = Backend("onnxruntime-cuda", f"cuda:{ordinal}", precision)

    @property
    def largest_batch(self) -> int:
        """Maximum number of rows per `run_device` call; `run` accepts any number."""
        return 1 if self._one_by_one else _LARGEST_BATCH

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Runs one batch; see `Session.run`. Raises EngineError if names, shapes or dtypes do not match the file."""
        return by_rows(self._run, inputs) if self._one_by_one else self._run(inputs)

    def run_device(self, inputs: Mapping[str, DeviceMemory], batch: int, stream: WorkStream) -> BoundRun:
        """Runs one batch in this GPU's memory after the work queued on `stream`; see `Binding.run`.

        A model whose batch is fixed at 1 takes one image here. Raises EngineError if the run fails.
        """
        binding = Binding(self._open_session(), self.inputs, self.outputs, "cuda", self._ordinal)
        try:
            return binding.run(inputs, batch, stream)
        except (*FAULTS, ValueError, KeyError) as error:
            raise self._failure(error) from error

    def close(self) -> None:
        """Releases the memory when the current runs have finished."""
        self._session = None

    def _run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        try:
            results = self._open_session().run(list(self.outputs), dict(inputs))
        except (*FAULTS, ValueError) as error:
            raise self._failure(error) from error
        return dict(zip(self.outputs, results, strict=True))

    def _open_session(self) -> onnxruntime.InferenceSession:
        if self._session is None:
            raise EngineError(f"{self._path.name}: called after close")
        return self._session

    def _failure(self, error: Exception) -> EngineError:
        return EngineError(
            f"{self._path.name} cannot be run on cuda:{self._ordinal}: {error}. It expects {described(self.inputs)}"
        )


def _open(path: Path, ordinal: int, precision: str) -> onnxruntime.InferenceSession:
    if reason := missing():
        raise BackendUnavailableError(reason)
    preload()
    options = session_options(threads=1)
    options.add_session_config_entry(RECORD, "1")
    network = _network(path, precision)
    provider = (PROVIDER, {"device_id": str(ordinal), "use_tf32": "0"})  # TF32 would not be the precision reported
    try:
        # Without enable_fallback=0, the library continues on the CPU if CUDA does not start.
        return onnxruntime.InferenceSession(network, options, providers=[provider], enable_fallback=0)
    except FAULTS as error:
        raise BackendUnavailableError(f"CUDA cannot run {path.name}: {error}") from error


def _network(path: Path, precision: str) -> str | bytes:
    """Returns the file's path, or the content of the model converted to fp16 in memory."""
    if precision != "fp16" or read_precision(path) == "fp16":
        return str(path)
    content: bytes = to_fp16(onnx.load(path)).SerializeToString()
    return content


def _require_all_on_gpu(session: onnxruntime.InferenceSession, name: str) -> None:
    if PROVIDER not in session.get_providers():
        raise BackendUnavailableError(f"CUDA failed to initialize: {why_not_started()}")
    if not hasattr(session, "get_provider_graph_assignment_info"):
        raise BackendUnavailableError(
            f"ONNX Runtime {onnxruntime.__version__} does not report what runs on the GPU: install a newer "
            "onnxruntime-gpu"
        )
    if left := stray(operators_by_provider(session), PROVIDER):
        raise BackendUnavailableError(f"CUDA does not support all nodes of {name}: {', '.join(left)}")
