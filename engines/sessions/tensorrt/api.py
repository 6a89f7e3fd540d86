"""Typed interface of the parts of TensorRT that this project uses.

The rest of this package accesses TensorRT only through these protocols and calls nothing else of it. A test checks
`CLASSES`, `MEMBERS` and `Module` against the real binding modules of TensorRT 10, 11 and TensorRT for RTX.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol


class Logger(Protocol):
    """Receives TensorRT's log messages; created by `names.make_log`."""

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
    """An input of a network; -1 in its shape marks a dynamic axis."""

    name: str
    shape: Sequence[int]


class Network(Protocol):
    num_inputs: int

    def get_input(self, index: int) -> NetworkTensor: ...


class Profile(Protocol):
    def set_shape(self, input: str, min: Sequence[int], opt: Sequence[int], max: Sequence[int]) -> None: ...  # noqa: A002


class HostMemory(Protocol):
    """Also supports the buffer protocol."""

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
    """Additional members of TensorRT for RTX: it compiles for given cards, whether they are present or not."""

    num_compute_capabilities: int

    def set_compute_capability(self, compute_capability: Any, index: int) -> bool: ...


class Builder(Protocol):
    def create_network(self, flags: int) -> Network: ...
    def create_builder_config(self) -> BuilderConfig: ...
    def create_optimization_profile(self) -> Profile: ...
    def build_serialized_network(self, network: Network, config: BuilderConfig) -> HostMemory | None: ...


class Context(Protocol):
    """An execution context: a network with its shapes and addresses, ready to be enqueued on a stream."""

    def set_device_memory(self, memory: int, size: int) -> None: ...
    def set_input_shape(self, name: str, shape: Sequence[int]) -> bool: ...
    def infer_shapes(self) -> list[str]: ...
    def get_tensor_shape(self, name: str) -> Sequence[int]: ...
    def set_tensor_address(self, name: str, memory: int) -> bool: ...
    def set_output_allocator(self, name: str, output_allocator: Any) -> bool: ...
    def execute_async_v3(self, stream_handle: int) -> bool: ...


class RtxContext(Protocol):
    """Additional member of TensorRT for RTX: a context cannot be captured while it is still compiling kernels."""

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
    """The module `tensorrt` or `tensorrt_rtx`."""

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
"""Maps each TensorRT class to the protocol of the members we call."""

RTX_CLASSES: Mapping[str, type] = {"IBuilderConfig": RtxBuilderConfig, "IExecutionContext": RtxContext}
"""The same, for members that only TensorRT for RTX has."""

MEMBERS: Mapping[str, Sequence[str]] = {
    "NetworkDefinitionCreationFlag": ("STRONGLY_TYPED",),
    "MemoryPoolType": ("WORKSPACE",),
    "TensorIOMode": ("INPUT",),
    "TensorLocation": ("DEVICE",),
    "ExecutionContextAllocationStrategy": ("USER_MANAGED",),
}
"""Maps each TensorRT enumeration to the members that we use."""

OVERRIDDEN: Mapping[str, Sequence[str]] = {
    "ILogger": ("log",),
    "IProgressMonitor": ("phase_start", "step_complete", "phase_finish"),
    "IOutputAllocator": ("reallocate_output_async", "notify_shape"),
}
"""Maps each TensorRT interface to the methods that we implement and TensorRT calls."""
