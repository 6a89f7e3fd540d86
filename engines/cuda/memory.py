"""Device memory and page-locked host memory, both allocated from pools."""

from __future__ import annotations

import weakref
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sightd.engines.cuda.context import CudaContext
from sightd.engines.cuda.errors import CudaClosedError, CudaOutOfMemoryError
from sightd.engines.cuda.pool import Block, Pool
from sightd.engines.cuda.stream import CudaStream


class DeviceBuffer:
    """Device memory with undefined initial content.

    Copies are asynchronous. Host arrays must be C-contiguous, and must stay valid and unchanged until the stream is
    synchronised; the host continues during a copy only if they are page-locked. Call `free` only when no stream uses
    the buffer any more. A buffer that is garbage-collected without `free` is freed later, at the cost of a wait for the
    whole device.
    """

    def __init__(self, context: CudaContext, pool: Pool[Any], nbytes: int) -> None:
        self._context, self._pool, self.nbytes = context, pool, nbytes
        self._block: Block[Any] | None = pool.take(nbytes)
        self._address = int(self._block.memory)

    @property
    def address(self) -> int:
        """The device pointer, aligned to at least 256 bytes. Raises CudaClosedError after `free`."""
        if self._block is None or self._context.native is None:
            raise CudaClosedError(f"cuda:{self._context.ordinal}: a buffer was used after it was freed")
        return self._address

    def upload(self, host: NDArray[Any], stream: CudaStream) -> None:
        """Copies the whole array to the start of the buffer."""
        self._check(host)
        with self._context.current("copying to the device"):
            self._context.api.memcpy_htod_async(self.address, host, stream.native)
        stream.transfers.add(to_device=host.nbytes)

    def download(self, host: NDArray[Any], stream: CudaStream) -> None:
        """Fills the whole array from the start of the buffer."""
        self._check(host)
        with self._context.current("copying from the device"):
            self._context.api.memcpy_dtoh_async(host, self.address, stream.native)
        stream.transfers.add(to_host=host.nbytes)

    def copy_from(self, other: DeviceBuffer, stream: CudaStream) -> None:
        """Copies all of another buffer of this device to the start of this one."""
        if other.nbytes > self.nbytes:
            raise ValueError(f"{other.nbytes} bytes do not fit in a buffer of {self.nbytes}")
        with self._context.current("copying within the device"):
            self._context.api.memcpy_dtod_async(self.address, other.address, other.nbytes, stream.native)

    def copy_from_address(self, address: int, nbytes: int, offset: int, stream: CudaStream) -> None:
        """Copies memory of this device that another library owns to `offset`. It must stay valid until the copy is
        done."""
        if offset + nbytes > self.nbytes:
            raise ValueError(f"{nbytes} bytes at {offset} do not fit into a buffer of {self.nbytes}")
        with self._context.current("copying within the device"):
            self._context.api.memcpy_dtod_async(self.address + offset, address, nbytes, stream.native)

    def fill(self, byte: int, stream: CudaStream) -> None:
        """Sets every byte."""
        with self._context.current("filling a buffer"):
            self._context.api.memset_d8_async(self.address, byte, self.nbytes, stream.native)

    def free(self) -> None:
        """Returns the memory to the pool. Idempotent."""
        block, self._block = self._block, None
        if block is not None:
            self._pool.give_back(block)

    def free_later(self) -> None:
        """Frees the buffer at the device's next allocation. For finalizers, which may run on any thread at any time."""
        self._context.later(self.free)

    def _check(self, host: NDArray[Any]) -> None:
        if not host.flags.c_contiguous:
            raise ValueError("a host array must be C-contiguous; use numpy.ascontiguousarray")
        if host.nbytes > self.nbytes:
            raise ValueError(f"{host.nbytes} bytes of host memory do not match a buffer of {self.nbytes}")

    def __del__(self) -> None:
        block = getattr(self, "_block", None)
        if block is not None:
            self._context.later(partial(self._pool.discard, block))


class PageLocked:
    """A page-locked allocation. `array` is all of it as bytes, or None once it is destroyed."""

    __slots__ = ("array",)

    def __init__(self, array: NDArray[np.uint8]) -> None:
        self.array: NDArray[np.uint8] | None = array


class PinnedArray:
    """Page-locked host memory, with which the device can copy while the host continues.

    Call `free` only when neither the host nor a stream uses `array`, or a view of it, any more.
    """

    def __init__(self, context: CudaContext, pool: Pool[PageLocked], shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self._context, self._pool = context, pool
        self.shape, self.dtype = shape, np.dtype(dtype)
        self.nbytes = int(np.prod(shape, dtype=np.int64)) * self.dtype.itemsize
        self._block: Block[PageLocked] | None = pool.take(self.nbytes)

    @property
    def array(self) -> NDArray[Any]:
        """A view [shape] of the memory, with undefined initial content. An existing view stays valid after `free`, but
        may then show another user's data. Raises CudaClosedError after `free`."""
        whole = None if self._block is None else self._block.memory.array
        if whole is None:
            raise CudaClosedError(f"cuda:{self._context.ordinal}: a pinned array was used after it was freed")
        return whole[: self.nbytes].view(self.dtype).reshape(self.shape)

    def free(self) -> None:
        """Returns the memory to the pool. Idempotent."""
        block, self._block = self._block, None
        if block is not None:
            self._pool.give_back(block)

    def __del__(self) -> None:
        block = getattr(self, "_block", None)
        if block is not None:
            self._context.later(partial(self._pool.discard, block))


def device_pool(context: CudaContext, idle_limit: int) -> Pool[Any]:
    """Returns a pool of device memory, whose total is limited only by the card."""

    def make(nbytes: int) -> Any:
        with context.current("allocating device memory"):
            try:
                return context.api.mem_alloc(nbytes)
            except context.api.MemoryError as error:
                free, total = context.api.mem_get_info()
                raise CudaOutOfMemoryError(f"cuda:{context.ordinal}: out of memory", nbytes, free, total) from error

    def destroy(allocation: Any) -> None:
        with context.current("freeing device memory"):
            allocation.free()

    return Pool(f"cuda:{context.ordinal}: device memory", make, destroy, limit=None, idle_limit=idle_limit)


class PinnedAllocator:
    """Allocates and frees page-locked memory. Memory that is still referenced by a view is freed when the last view is
    gone."""

    def __init__(self, context: CudaContext) -> None:
        self._context = context
        self._looked_at: list[tuple[Any, weakref.ref[NDArray[np.uint8]]]] = []

    def make(self, nbytes: int) -> PageLocked:
        self.sweep()
        api = self._context.api
        with self._context.current("allocating page-locked memory"):
            try:
                return PageLocked(api.pagelocked_empty(nbytes, np.uint8))
            except api.MemoryError as error:
                what = f"cuda:{self._context.ordinal}: the host has no more page-locked memory"
                raise CudaOutOfMemoryError(what, nbytes) from error

    def destroy(self, memory: PageLocked) -> None:
        array, memory.array = memory.array, None
        if array is None:
            return
        allocation, seen = array.base, weakref.ref(array)
        del array
        self._looked_at.append((allocation, seen))
        self.sweep()

    def sweep(self) -> int:
        """Frees memory without views. Returns the number of allocations that still have some."""
        waiting, self._looked_at = self._looked_at, []
        for allocation, seen in waiting:
            if seen() is None:
                with self._context.current("freeing page-locked memory"):
                    allocation.free()
            else:
                self._looked_at.append((allocation, seen))
        return len(self._looked_at)

    def close(self) -> None:
        """Called when all memory is destroyed. Memory that still has views must not vanish, so its context is kept."""
        if left := self.sweep():
            self._context.keep(f"{left} page-locked arrays are still in use")
