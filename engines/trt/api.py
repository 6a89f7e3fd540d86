"""All of TensorRT that this project touches, typed.

Nothing else of it may be called: the rest of `engines.trt` knows TensorRT's objects by these protocols only, and a
test holds `CLASSES`, `MEMBERS` and `Module` against the real binding modules of TensorRT 10, 11 and for RTX.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol


class Logger(Protocol):
    """What TensorRT reports to; `engines.trt.log` makes one."""

    def log(self, severity: Any, msg: str) -> None: ...


class ParserError(Protocol):
    def desc(self) -> str: ...
    def node_name(self) -> str: ...
    def node_operator(self) -> str: ...


class Parser(Protocol):
    num_errors: int

    def parse_from_file(self, model: str) -> bool: ...
    def get_error(self, index: int) -> ParserError: ...


class NetworkTensor(Protocol):
    """An input of a network; -1 in its shape stands for a dynamic axis."""

    name: str
    shape: Sequence[int]


class Network(Protocol):
    num_inputs: int

    def get_input(self, index: int) -> NetworkTensor: ...


class Profile(Protocol):
    def set_shape(self, input: str, min: Sequence[int], opt: Sequence[int], max: Sequence[int]) -> None: ...  # noqa: A002


class HostMemory(Protocol):
    """Also speaks the buffer protocol."""

    nbytes: int


class TimingCache(Protocol):
    def serialize(self) -> Any: ...


class BuilderConfig(Protocol):
    builder_optimization_level: int
    progress_monitor: Any

    def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None: ...
    def add_optimization_profile(self, profile: Profile) -> int: ...
    def create_timing_cache(self, serialized_timing_cache: bytes) -> TimingCache: ...
    def set_timing_cache(self, cache: TimingCache, ignore_mismatch: bool) -> bool: ...


class RtxBuilderConfig(Protocol):
    """What TensorRT for RTX has beside: it compiles for stated cards, present or not."""

    num_compute_capabilities: int

    def set_compute_capability(self, compute_capability: Any, index: int) -> bool: ...


class Builder(Protocol):
    def create_network(self, flags: int) -> Network: ...
    def create_builder_config(self) -> BuilderConfig: ...
    def create_optimization_profile(self) -> Profile: ...
    def build_serialized_network(self, network: Network, config: BuilderConfig) -> HostMemory | None: ...


class Context(Protocol):
    """An execution context: one network with its shapes and addresses, ready to be enqueued on a stream."""

    def set_device_memory(self, memory: int, size: int) -> None: ...
    def set_input_shape(self, name: str, shape: Sequence[int]) -> bool: ...
    def infer_shapes(self) -> list[str]: ...
    def get_tensor_shape(self, name: str) -> Sequence[int]: ...
    def set_tensor_address(self, name: str, memory: int) -> bool: ...
    def set_output_allocator(self, name: str, output_allocator: Any) -> bool: ...
    def execute_async_v3(self, stream_handle: int) -> bool: ...


class RtxContext(Protocol):
    """What TensorRT for RTX has beside: while it still compiles kernels, a context cannot be captured."""

    def is_stream_capturable(self, stream: int) -> bool: ...


class CudaEngine(Protocol):
    num_io_tensors: int
    device_memory_size_v2: int

    def get_tensor_name(self, index: int) -> str: ...
    def get_tensor_mode(self, name: str) -> Any: ...
    def get_tensor_dtype(self, name: str) -> Any: ...
    def get_tensor_location(self, name: str) -> Any: ...
    def get_tensor_shape(self, name: str) -> Sequence[int]: ...
    def get_tensor_profile_shape(self, name: str, profile_index: int) -> Sequence[Sequence[int]]: ...
    def create_execution_context(self, strategy: Any) -> Context | None: ...


class Runtime(Protocol):
    def deserialize_cuda_engine(self, serialized_engine: bytes) -> CudaEngine | None: ...


class Module(Protocol):
    """`import tensorrt` or `import tensorrt_rtx`."""

    __version__: str
    ILogger: Any
    IProgressMonitor: Any
    IOutputAllocator: Any
    Builder: Callable[[Logger], Builder]
    OnnxParser: Callable[[Network, Logger], Parser]
    Runtime: Callable[[Logger], Runtime]
    NetworkDefinitionCreationFlag: Any
    MemoryPoolType: Any
    TensorIOMode: Any
    TensorLocation: Any
    ExecutionContextAllocationStrategy: Any

    def nptype(self, trt_type: Any) -> type[Any]: ...


CLASSES: Mapping[str, type] = {
    "ParserError": ParserError,
    "OnnxParser": Parser,
    "ITensor": NetworkTensor,
    "INetworkDefinition": Network,
    "IOptimizationProfile": Profile,
    "IHostMemory": HostMemory,
    "ITimingCache": TimingCache,
    "IBuilderConfig": BuilderConfig,
    "Builder": Builder,
    "IExecutionContext": Context,
    "ICudaEngine": CudaEngine,
    "Runtime": Runtime,
}
"""TensorRT's class -> what we call of it."""

RTX_CLASSES: Mapping[str, type] = {"IBuilderConfig": RtxBuilderConfig, "IExecutionContext": RtxContext}
"""The same, of TensorRT for RTX alone."""

MEMBERS: Mapping[str, Sequence[str]] = {
    "NetworkDefinitionCreationFlag": ("STRONGLY_TYPED",),
    "MemoryPoolType": ("WORKSPACE",),
    "TensorIOMode": ("INPUT",),
    "TensorLocation": ("DEVICE",),
    "ExecutionContextAllocationStrategy": ("USER_MANAGED",),
}
"""TensorRT's enumeration -> members that we use."""

OVERRIDDEN: Mapping[str, Sequence[str]] = {
    "ILogger": ("log",),
    "IProgressMonitor": ("phase_start", "step_complete", "phase_finish"),
    "IOutputAllocator": ("reallocate_output_async", "notify_shape"),
}
"""TensorRT's interface -> methods that we implement and TensorRT calls."""
