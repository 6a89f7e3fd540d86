"""An execution context bound to shapes and addresses: an engine's inputs and outputs as the engine itself states them,
and dynamic outputs, whose size depends on the data, so TensorRT requests their memory during the run."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sightd.engines.errors import EngineError
from sightd.engines.session import TensorSpec
from sightd.engines.sessions.tensorrt import api
from sightd.engines.sessions.tensorrt.builder import BatchRange
from sightd.engines.sessions.tensorrt.interfaces import Device, DeviceBuffer, Graph, Stream
from sightd.engines.sessions.tensorrt.names import TensorRT


@dataclass(frozen=True, slots=True)
class IOSpec:
    """The inputs and outputs of an engine. The first axis of every input is the batch. None in a shape marks the batch
    or an axis that depends on the data."""

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    batch: BatchRange

    def shape(self, name: str, batch: int) -> tuple[int, ...]:
        """Returns the shape of an input for `batch` rows."""
        return (batch, *(axis or 1 for axis in self.inputs[name].shape[1:]))


def read_io_spec(module: api.Module, engine: api.CudaEngine) -> IOSpec:
    """Returns the engine's inputs and outputs. Raises EngineError if sessions cannot run the engine: its inputs have no
    common batch axis, or a tensor is on the host."""
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    inputs = [name for name in names if engine.get_tensor_mode(name) == module.TensorIOMode.INPUT]
    for name in names:
        if engine.get_tensor_location(name) != module.TensorLocation.DEVICE:
            raise EngineError(f"{name} is read by the host, which is not supported: export the model with fixed shapes")
    if not inputs:
        raise EngineError("the engine has no input")
    batches = {name: _batch(engine, name) for name in inputs}
    if len(set(batches.values())) != 1:
        told = ", ".join(f"{name} {batch}" for name, batch in batches.items())
        raise EngineError(
            f"the inputs of the engine have different batch ranges ({told}): build all with the same range"
        )
    return IOSpec(
        {name: _spec(module, engine, name, given=True) for name in inputs},
        {name: _spec(module, engine, name, given=False) for name in names if name not in inputs},
        batches[inputs[0]],
    )


def _batch(engine: api.CudaEngine, name: str) -> BatchRange:
    shape = tuple(engine.get_tensor_shape(name))
    if not shape:
        raise EngineError(f"input {name} is a scalar and has no batch axis")
    if shape[0] != -1:
        return BatchRange(shape[0], shape[0], shape[0])
    least, usual, most = engine.get_tensor_profile_shape(name, 0)
    return BatchRange(least[0], usual[0], most[0])


def _spec(module: api.Module, engine: api.CudaEngine, name: str, *, given: bool) -> TensorSpec:
    shape: tuple[int | None, ...] = tuple(None if axis == -1 else axis for axis in engine.get_tensor_shape(name))
    if given and None in shape[1:]:
        most = tuple(engine.get_tensor_profile_shape(name, 0)[2])
        shape = (shape[0], *most[1:])
    kind = engine.get_tensor_dtype(name)
    try:
        return TensorSpec(name, shape, np.dtype(module.nptype(kind)))
    except TypeError as error:
        raise EngineError(
            f"{name} has the type {kind}, which is not supported: export it as float32 or float16"
        ) from error


class DynamicOutput:
    """Memory of one output of one execution slot; it grows when TensorRT requests more. `target` is the allocator that
    TensorRT calls.

    Used by the thread that runs the slot.
    """

    def __init__(self, module: api.Module, device: Device) -> None:
        self._device = device
        self._buffer: DeviceBuffer | None = None
        self._size = 0
        self._failure: Exception | None = None
        self.shape: tuple[int, ...] = ()
        self.target = _target(module, self)

    @property
    def buffer(self) -> DeviceBuffer:
        """The memory that the last run wrote to."""
        if self._buffer is None:
            raise EngineError("TensorRT did not request memory for an output")
        return self._buffer

    def reallocate(self, size: int) -> int:
        """Returns the address of at least `size` bytes, or 0 if allocation failed, which TensorRT treats as an
        error."""
        try:
            if self._buffer is None or size > self._size:
                self.free()
                self._buffer, self._size = self._device.allocate(max(size, 1)), max(size, 1)
            return self._buffer.address
        except Exception as error:  # noqa: BLE001  called from native code, where an exception would end the process
            self._failure = error
            return 0

    def check(self) -> None:
        """Raises EngineError if memory allocation failed in the run just started. A later run may succeed."""
        failure, self._failure = self._failure, None
        if failure is not None:
            raise EngineError(f"no memory for an output: {failure}") from failure

    def free(self) -> None:
        """Frees the memory. Idempotent."""
        buffer, self._buffer, self._size = self._buffer, None, 0
        if buffer is not None:
            buffer.free()


def _target(module: api.Module, output: DynamicOutput) -> Any:
    base: Any = module.IOutputAllocator

    class Target(base):  # type: ignore[misc]
        def __init__(self) -> None:
            base.__init__(self)

        def reallocate_output_async(self, tensor_name: str, memory: int, size: int, alignment: int, stream: int) -> int:
            return output.reallocate(size)

        def notify_shape(self, tensor_name: str, shape: Any) -> None:
            output.shape = tuple(shape)

    return Target()


logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LoadedEngine:
    """A deserialised engine with everything that does not change between runs."""

    trt: TensorRT
    engine: api.CudaEngine
    ends: IOSpec
    device: Device
    name: str


def shaped_context(loaded: LoadedEngine, batch: int, scratch: DeviceBuffer) -> api.Context:
    """Returns a context for `batch` rows that uses `scratch` as its working memory. Contexts that never run at the same
    time can share that memory."""
    strategy = loaded.trt.module.ExecutionContextAllocationStrategy.USER_MANAGED
    context = loaded.engine.create_execution_context(strategy)
    if context is None:
        raise EngineError(f"{loaded.name}: TensorRT could not create an execution context (is the GPU memory full?)")
    context.set_device_memory(scratch.address, loaded.engine.device_memory_size_v2)
    for name in loaded.ends.inputs:
        shape = loaded.ends.shape(name, batch)
        if not context.set_input_shape(name, shape):
            raise EngineError(
                f"{loaded.name}: TensorRT rejects {name} {list(shape)}; the batch must be {loaded.ends.batch}"
            )
    if missing := context.infer_shapes():
        raise EngineError(f"{loaded.name}: TensorRT cannot infer the shapes of {', '.join(missing)}")
    return context


class Binding:
    """One context with one batch size and one set of addresses. It is never changed after creation, because a captured
    CUDA graph is valid only as long as its context is not touched.
    """

    def __init__(
        self, loaded: LoadedEngine, batch: int, inputs: Mapping[str, int], outputs: Mapping[str, DeviceBuffer],
        scratch: DeviceBuffer,
    ) -> None:  # fmt: skip
        """`inputs` maps names to addresses. Outputs that are missing from `outputs` have a size that depends on the
        data."""
        self._trt, self._name = loaded.trt, loaded.name
        self._context = shaped_context(loaded, batch, scratch)
        self._graph: Graph | None = None
        self._runs = 0
        self._may_capture = len(outputs) == len(loaded.ends.outputs)
        self._outputs = outputs
        self.dynamic: dict[str, DynamicOutput] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        for name, address in inputs.items():
            self._require(self._context.set_tensor_address(name, address), name)
        for name in loaded.ends.outputs:
            if name in outputs:
                self._shapes[name] = tuple(self._context.get_tensor_shape(name))
                self._require(self._context.set_tensor_address(name, outputs[name].address), name)
            else:
                self.dynamic[name] = DynamicOutput(loaded.trt.module, loaded.device)
                self._require(self._context.set_output_allocator(name, self.dynamic[name].target), name)

    def enqueue(self, stream: Stream) -> None:
        """Enqueues one run on the stream. Raises EngineError if TensorRT rejects it.

        The first run is a normal one, because TensorRT initialises itself in it. After the second, the run is captured
        as a CUDA graph, so that repeating the same batch costs a single launch.
        """
        if self._graph is not None:
            self._graph.launch(stream)
            return
        self._execute(stream)
        self._runs += 1
        if self._runs >= 2 and self._may_capture and self._trt.capturable(self._context, stream.handle):
            self._capture(stream)

    def output(self, name: str) -> tuple[DeviceBuffer, tuple[int, ...]]:
        """Returns the buffer and shape of an output. Valid once the run was enqueued."""
        if dynamic := self.dynamic.get(name):
            return dynamic.buffer, dynamic.shape
        return self._outputs[name], self._shapes[name]

    def close(self) -> None:
        """Frees the graph and the dynamic outputs. No run may be in progress. Idempotent."""
        if self._graph is not None:
            self._graph.close()
            self._graph = None
        for dynamic in self.dynamic.values():
            dynamic.free()

    def _capture(self, stream: Stream) -> None:
        try:
            with stream.capture() as capture:
                self._execute(stream)
        except EngineError as error:
            self._may_capture = False
            logger.warning("%s: running without a CUDA graph, one launch per kernel: %s", self._name, error)
            return
        self._graph = capture.graph

    def _execute(self, stream: Stream) -> None:
        started = self._context.execute_async_v3(stream.handle)
        for dynamic in self.dynamic.values():
            dynamic.check()
        if not started:
            raise EngineError(f"{self._name}: TensorRT could not start a run; see its log")

    def _require(self, accepted: bool, name: str) -> None:
        if not accepted:
            raise EngineError(f"{self._name}: TensorRT rejects the buffer of {name}")
