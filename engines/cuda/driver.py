"""CUDA devices. The only module that imports PyCUDA and `cuda.bindings`, and only on demand.

`available` reports whether CUDA can be used and if not, why. `open_device` opens a device, which creates everything
else.
"""

from __future__ import annotations

import atexit
import importlib
import threading
from collections import Counter
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from numpy.typing import DTypeLike

from sightd.engines.cuda.context import Activation, CudaContext
from sightd.engines.cuda.errors import CudaError, CudaUnavailableError, translated
from sightd.engines.cuda.memory import DeviceBuffer, PageLocked, PinnedAllocator, PinnedArray, device_pool
from sightd.engines.cuda.pool import Pool, PoolStatistics
from sightd.engines.cuda.program import Argument, CudaFunction, CudaModule
from sightd.engines.cuda.stream import CudaEvent, CudaGraph, CudaStream, GraphCapture, TransferCounter

__all__ = [
    "Argument",
    "CudaDevice",
    "CudaEvent",
    "CudaFunction",
    "CudaGraph",
    "CudaModule",
    "CudaStream",
    "DeviceBuffer",
    "GraphCapture",
    "MemoryLimits",
    "PinnedArray",
    "TransferCounter",
    "available",
    "open_device",
    "transferred",
]

_MIB = 1024 * 1024
_open: set[CudaDevice] = set()
_open_lock = threading.Lock()
_transfers_of_closed = TransferCounter()


@dataclass(frozen=True, slots=True)
class MemoryLimits:
    """Limits of a device's pools in bytes. Device memory in use is limited only by the card."""

    device_idle: int = 256 * _MIB
    pinned: int = 1024 * _MIB
    """Total page-locked memory. The host cannot swap it out, so it must not grow without bound."""
    pinned_idle: int = 128 * _MIB


class CudaDevice:
    """A CUDA device, created by `open_device`. Thread-safe; `close` is idempotent; usable as a context manager.

    Owns everything that it creates: `close` destroys what is left, and any later use raises CudaClosedError.
    """

    def __init__(self, context: CudaContext, limits: MemoryLimits) -> None:
        self._context = context
        self._closing = threading.Lock()
        self._closed = False
        native = context.api.Device(context.ordinal)
        self.ordinal = context.ordinal
        self.name = str(native.name())
        major, minor = native.compute_capability()
        self.compute_capability: tuple[int, int] = int(major), int(minor)
        self.transfers = TransferCounter()
        self._memory = device_pool(context, limits.device_idle)
        self._pinned_allocator = PinnedAllocator(context)
        self._pinned: Pool[PageLocked] = Pool(
            f"cuda:{context.ordinal}: page-locked memory",
            self._pinned_allocator.make,
            self._pinned_allocator.destroy,
            limit=limits.pinned,
            idle_limit=limits.pinned_idle,
        )

    @property
    def context_handle(self) -> int:
        """The driver's CUcontext as an integer, for NVDEC."""
        return int(self._context.native.handle)

    @property
    def memory_free(self) -> int:
        """Bytes that the driver can still allocate, for all programs together."""
        return self._memory_info()[0]

    @property
    def memory_total(self) -> int:
        """Memory of the card in bytes."""
        return self._memory_info()[1]

    @property
    def memory(self) -> PoolStatistics:
        """Statistics of the pool of device memory."""
        return self._memory.statistics

    @property
    def pinned_memory(self) -> PoolStatistics:
        """Statistics of the pool of page-locked memory."""
        return self._pinned.statistics

    def active(self) -> Activation:
        """Returns a context manager that makes the device's context current on this thread. Libraries that expect a
        current context (such as TensorRT on the second card) need it, and calls inside it are cheaper."""
        return self._context.current("using the device")

    def stream(self) -> CudaStream:
        return CudaStream(self._context, self.transfers)

    def allocate(self, nbytes: int) -> DeviceBuffer:
        """Allocates a buffer of at least 1 byte from the pool. Raises CudaOutOfMemoryError, which states the requested
        and the free memory."""
        self._context.sweep()
        return DeviceBuffer(self._context, self._memory, nbytes)

    def pinned(self, shape: tuple[int, ...], dtype: DTypeLike) -> PinnedArray:
        """Allocates page-locked host memory of at least 1 byte from the pool. Raises CudaOutOfMemoryError, also if the
        pool's limit is reached."""
        self._context.sweep()
        return PinnedArray(self._context, self._pinned, shape, dtype)

    def module(self, cubin: bytes) -> CudaModule:
        """Loads compiled kernels. Raises KernelError if the driver rejects them."""
        return CudaModule(self._context, cubin)

    def close(self) -> None:
        """Destroys all that is left and releases the device. No other thread may be inside a call."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        self._context.wait()
        self._context.sweep()
        self._pinned.clear()
        self._pinned_allocator.close()
        self._memory.clear()
        self._context.close()
        with _open_lock:
            _open.discard(self)
            _transfers_of_closed.add_all(self.transfers)

    def _memory_info(self) -> tuple[int, int]:
        with self._context.current("querying free memory"):
            free, total = self._context.api.mem_get_info()
            return int(free), int(total)

    def __enter__(self) -> CudaDevice:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def available() -> str | None:
    """Returns None if CUDA can be used, else the reason and what to install. Never raises."""
    try:
        _driver()
    except CudaUnavailableError as error:
        return str(error)
    return None


def open_device(which: str | int, limits: MemoryLimits | None = None) -> CudaDevice:
    """Opens "cuda:0", 0, or "auto", which is the device that this process has open least often (the first if equal).

    Raises CudaUnavailableError if CUDA or that device is missing, and ValueError for any other name. A device that is
    not closed stays open until the process ends.
    """
    api = _driver()
    devices = int(api.Device.count())
    with _open_lock:
        ordinal = chosen(which, devices, Counter(device.ordinal for device in _open))
        device = CudaDevice(CudaContext(api, _bindings, ordinal), limits or MemoryLimits())
        _open.add(device)
    return device


def transferred() -> TransferCounter:
    """Returns the total transfers of this process to and from all devices, including closed ones. Loads nothing."""
    total = TransferCounter()
    with _open_lock:
        for counter in (_transfers_of_closed, *(device.transfers for device in _open)):
            total.add_all(counter)
    return total


@atexit.register
def close_all() -> None:
    """Closes the devices that are still open at exit. PyCUDA would release them incorrectly."""
    for device in list(_open):
        device.close()


def chosen(which: str | int, devices: int, opened: Counter[int]) -> int:
    """Returns the ordinal for `which`, given the number of `devices` and how often each is `opened`."""
    if which == "auto":
        return min(range(devices), key=lambda ordinal: opened[ordinal])
    digits = str(which).removeprefix("cuda:")
    if not digits.isdecimal():
        raise ValueError(f'{which!r} is not a CUDA device; write "cuda:0", 0 or "auto"')
    if int(digits) >= devices:
        raise CudaUnavailableError(f"cuda:{digits} does not exist: this machine has {devices} (cuda:0 is the first)")
    return int(digits)


def _driver() -> Any:
    """Returns PyCUDA's driver module, initialised. Raises CudaUnavailableError."""
    try:
        api = importlib.import_module("pycuda.driver")
    except ImportError as error:
        raise CudaUnavailableError(_missing(error)) from error
    try:
        api.init()
        devices = api.Device.count()
    except api.Error as error:
        raise CudaUnavailableError(f"{translated('the NVIDIA driver', error)}. Run `nvidia-smi` for details") from error
    if devices == 0:
        raise CudaUnavailableError("no NVIDIA GPU is visible; check `nvidia-smi` and CUDA_VISIBLE_DEVICES")
    return api


def _missing(error: ImportError) -> str:
    if isinstance(error, ModuleNotFoundError):
        return (
            f"{error.name} is not installed; run `pip install 'sightd[gpu]'`. PyCUDA is compiled during "
            "installation, which requires g++ and the CUDA toolkit"
        )
    if "libcuda" in str(error):
        return (
            f"the NVIDIA driver is not installed ({error}). Install it, or start the container with its GPUs "
            "(`docker run --gpus all`)"
        )
    return (
        f"PyCUDA does not match the NVIDIA driver ({error}). Update the driver, or rebuild PyCUDA for its CUDA version"
    )


def _bindings() -> Any:
    """Returns `cuda.bindings.driver`, which is needed for graphs. Raises CudaError if it is missing."""
    try:
        return importlib.import_module("cuda.bindings.driver")
    except (ImportError, RuntimeError) as error:
        raise CudaError(f"CUDA graphs require cuda.bindings ({error}); run `pip install 'sightd[gpu]'`") from error
