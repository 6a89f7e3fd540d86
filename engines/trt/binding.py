"""An execution context bound to shapes and addresses."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from sightd.engines.errors import EngineError
from sightd.engines.trt import api
from sightd.engines.trt.dynamic_output import DynamicOutput
from sightd.engines.trt.interfaces import Device, DeviceBuffer, Graph, Stream
from sightd.engines.trt.io_spec import IOSpec
from sightd.engines.trt.names import TensorRT

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
