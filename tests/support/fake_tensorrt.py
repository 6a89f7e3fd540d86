"""A stand-in for the module `tensorrt` on the stand-in device; a test compares its names with the real modules.

Its engines are JSON (`plan`): they return twice their input as `output` and, on request, the indices of the values
above zero as `places`, an output whose size depends on the data.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from enum import Enum
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from sightd.engines.sessions.tensorrt import api
from sightd.engines.sessions.tensorrt.names import Flavour, TensorRT
from tests.support.fake_device import MEMORY, STREAMS

__version__ = "11.4.0.106"
REAL_NAMES = (
    "ILogger", "IProgressMonitor", "IOutputAllocator", "TensorIOMode", "TensorLocation", "MemoryPoolType",
    "ExecutionContextAllocationStrategy", "NetworkDefinitionCreationFlag", "ICudaEngine", "IExecutionContext",
    "Runtime", "Builder", "IBuilderConfig", "INetworkDefinition", "IOptimizationProfile", "OnnxParser", "ITimingCache",
    "nptype",
)  # fmt: skip


def flavoured(flavour: Flavour) -> TensorRT:
    return TensorRT(flavour, cast(api.Module, sys.modules[__name__]))


def plan(
    shape: Sequence[int] = (-1, 2, 3), batch: Sequence[int] = (1, 2, 4), *, places: bool = False, dtype: str = "float32"
) -> bytes:
    return json.dumps({"shape": list(shape), "batch": list(batch), "places": places, "dtype": dtype}).encode()


class TensorIOMode(Enum):
    INPUT = 1
    OUTPUT = 2


class TensorLocation(Enum):
    DEVICE = 0
    HOST = 1


class ExecutionContextAllocationStrategy(Enum):
    USER_MANAGED = 2


class NetworkDefinitionCreationFlag(int, Enum):
    STRONGLY_TYPED = 1


class MemoryPoolType(Enum):
    WORKSPACE = 0


class ILogger:
    pass


class IProgressMonitor:
    pass


class IOutputAllocator:
    pass


def nptype(trt_type: str) -> type[Any]:
    if trt_type == "bfloat16":
        raise TypeError("Could not resolve TensorRT datatype to an equivalent numpy datatype.")
    return cast(type[Any], getattr(np, trt_type))


class Runtime:
    def __init__(self, logger: Any) -> None:
        self._logger = logger

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None:
        try:
            return ICudaEngine(json.loads(serialized_engine))
        except ValueError:
            severity = Enum("Severity", ["ERROR"]).ERROR  # type: ignore[attr-defined]
            self._logger.log(severity, "the plan is of another version")
            return None


class ICudaEngine:
    device_memory_size_v2 = 4096

    def __init__(self, told: dict[str, Any]) -> None:
        self._told = told
        self._names = ["images", "output", *(["places"] if told["places"] else [])]
        self.num_io_tensors = len(self._names)

    def get_tensor_name(self, index: int) -> str:
        return self._names[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name == "images" else TensorIOMode.OUTPUT

    def get_tensor_location(self, name: str) -> TensorLocation:
        return TensorLocation.DEVICE

    def get_tensor_dtype(self, name: str) -> str:
        return "int64" if name == "places" else str(self._told["dtype"])

    def get_tensor_shape(self, name: str) -> list[int]:
        return [-1, len(self._told["shape"])] if name == "places" else list(self._told["shape"])

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[list[int]]:
        return [[rows, *self._told["shape"][1:]] for rows in self._told["batch"]]

    def create_execution_context(self, strategy: Any) -> IExecutionContext:
        assert strategy is ExecutionContextAllocationStrategy.USER_MANAGED
        return IExecutionContext(self)


class IExecutionContext:
    def __init__(self, engine: ICudaEngine) -> None:
        self._engine = engine
        self._shape: tuple[int, ...] = ()
        self._addresses: dict[str, int] = {}
        self._allocators: dict[str, Any] = {}

    def set_device_memory(self, memory: int, size: int) -> None:
        assert size <= len(MEMORY[memory])

    def set_input_shape(self, name: str, shape: Sequence[int]) -> bool:
        least, _, most = (told[0] for told in self._engine.get_tensor_profile_shape(name, 0))
        self._shape = tuple(shape)
        return bool(least <= shape[0] <= most)

    def infer_shapes(self) -> list[str]:
        return [] if self._shape else ["images"]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return (-1, len(self._shape)) if name == "places" else self._shape

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return memory in MEMORY

    def set_output_allocator(self, name: str, output_allocator: Any) -> bool:
        self._allocators[name] = output_allocator
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        if self._allocators:
            return self._find_places()
        STREAMS[stream_handle].do(self._compute)
        return True

    def _compute(self) -> None:
        self._array("output")[...] = self._array("images") * 2

    def _find_places(self) -> bool:
        self._compute()
        found = np.argwhere(self._array("images") > 0)
        allocator = self._allocators["places"]
        address = allocator.reallocate_output_async("places", 0, found.nbytes, 256, 0)
        if not address:
            return False
        allocator.notify_shape("places", found.shape)
        MEMORY[address][: found.nbytes] = found.reshape(-1).view(np.uint8)
        return True

    def _array(self, name: str) -> Any:
        dtype = np.dtype(nptype(self._engine.get_tensor_dtype(name)))
        count = int(np.prod(self._shape)) * dtype.itemsize
        return MEMORY[self._addresses[name]][:count].view(dtype).reshape(self._shape)


class INetworkDefinition:
    num_inputs = 1

    def get_input(self, index: int) -> Any:
        return SimpleNamespace(name="images", shape=(1, 3, 8, 8))


class IOptimizationProfile:
    pass


class ITimingCache:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def serialize(self) -> bytes:
        return self._content + b"+"


class IBuilderConfig:
    def __init__(self) -> None:
        self._timing: list[bytes] = []

    def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
        pass

    def add_optimization_profile(self, profile: Any) -> int:
        return 0

    def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache:
        return ITimingCache(serialized_timing_cache)

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        return not cache.serialize().startswith(b"other card")


class OnnxParser:
    num_errors = 0

    def __init__(self, network: Any, logger: Any) -> None:
        pass

    def parse_from_file(self, model: str) -> bool:
        return True


class Builder:
    def __init__(self, logger: Any) -> None:
        pass

    def create_network(self, flags: int) -> INetworkDefinition:
        assert flags == 2
        return INetworkDefinition()

    def create_builder_config(self) -> IBuilderConfig:
        return IBuilderConfig()

    def create_optimization_profile(self) -> IOptimizationProfile:
        return IOptimizationProfile()

    def build_serialized_network(self, network: Any, config: Any) -> bytes | None:
        return b"plan"
