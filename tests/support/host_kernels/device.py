"""A device on the host: NumPy memory and host builds of the kernels, behind the same interface as the driver's.

Buffers lie between guard bytes that are checked after every launch, so a kernel that writes out of bounds is caught.
New memory is filled with garbage, so a kernel that leaves something unwritten is caught as well.
"""

from __future__ import annotations

import ctypes
import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.support.host_kernels.build import library

_GUARD = 256
_GUARD_BYTE, _RUBBISH = 0xA5, 0xCD
_one_launch_at_a_time = threading.Lock()


class HostStream:
    """Work runs synchronously, so there is nothing to wait for."""

    def synchronize(self) -> None:
        return None


class HostBuffer:
    def __init__(self, device: HostDevice, nbytes: int) -> None:
        if nbytes <= 0:
            raise ValueError("a buffer has at least one byte")
        self._device = device
        self.nbytes = nbytes
        self._whole = np.full(nbytes + 2 * _GUARD + 256, _GUARD_BYTE, np.uint8)
        start = _GUARD + -(self._whole.ctypes.data + _GUARD) % 256
        self._start = start
        self.bytes: NDArray[np.uint8] = self._whole[start : start + nbytes]
        self.bytes[:] = _RUBBISH
        self.address = int(self.bytes.ctypes.data)
        self.freed = False

    def upload(self, host: NDArray[Any], stream: Any) -> None:
        self.bytes[: host.nbytes] = np.ascontiguousarray(host).reshape(-1).view(np.uint8)

    def download(self, host: NDArray[Any], stream: Any) -> None:
        host.reshape(-1).view(np.uint8)[:] = self.bytes[: host.nbytes]

    def fill(self, byte: int, stream: Any) -> None:
        self.bytes[:] = byte

    def free(self) -> None:
        self.freed = True
        self._device.buffers.pop(id(self), None)

    def is_intact(self) -> bool:
        before, after = self._whole[: self._start], self._whole[self._start + self.nbytes :]
        return bool((before == _GUARD_BYTE).all() and (after == _GUARD_BYTE).all())


class HostPinned:
    def __init__(self, device: HostDevice, array: NDArray[Any]) -> None:
        self._device = device
        self.array = array
        device.pinned_arrays[id(self)] = self

    def free(self) -> None:
        self._device.pinned_arrays.pop(id(self), None)


@dataclass
class HostDevice:
    """`buffers` and `pinned_arrays` hold what is not freed yet; `launches` are in order, as (kernel, grid, block)."""

    buffers: dict[int, HostBuffer] = field(default_factory=dict)
    pinned_arrays: dict[int, HostPinned] = field(default_factory=dict)
    launches: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)

    def allocate(self, nbytes: int) -> HostBuffer:
        buffer = HostBuffer(self, nbytes)
        self.buffers[id(buffer)] = buffer
        return buffer

    def pinned(self, shape: Any, dtype: Any) -> HostPinned:
        return HostPinned(self, np.zeros(shape, dtype))

    def module(self, cubin: bytes) -> HostModule:
        return HostModule(self, cubin.decode())

    def uploaded(self, host: NDArray[Any]) -> HostBuffer:
        buffer = self.allocate(host.nbytes)
        buffer.upload(host, None)
        return buffer

    def function(self, source: str, name: str) -> HostFunction:
        """Like `Kernels.function`."""
        return self.module(source.encode()).function(name)


@dataclass(frozen=True)
class HostModule:
    """A module whose "cubin" is the name of a kernel source."""

    device: HostDevice
    source: str

    def function(self, name: str) -> HostFunction:
        return HostFunction(self.device, library(self.source), name)


class HostFunction:
    def __init__(self, device: HostDevice, built: ctypes.CDLL, name: str) -> None:
        self._device = device
        self._name = name
        self._run = built[f"host_{name}"]
        sizes = (ctypes.c_int * 32)()
        self._sizes = sizes[: built[f"sizes_of_{name}"](sizes)]

    def launch(
        self, grid: tuple[int, ...], block: tuple[int, ...], *args: Any, stream: Any, shared_bytes: int = 0
    ) -> None:
        """Runs the kernel. Asserts what a device requires: argument sizes, live buffers, legal grids and blocks."""
        assert shared_bytes == 0
        assert min(*grid, *block) >= 1
        assert np.prod(block) <= 1024
        assert max(grid[1:]) < 65536
        packed = [self._packed(arg) for arg in args]
        assert [len(one) for one in packed] == self._sizes, f"{self._name}: {[len(one) for one in packed]}"
        values = [ctypes.create_string_buffer(one, len(one)) for one in packed]
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        self._device.launches.append((self._name, grid, block))
        with _one_launch_at_a_time:
            self._run(pointers, (ctypes.c_uint * 3)(*grid), (ctypes.c_uint * 3)(*block))
        broken = [buffer.nbytes for buffer in self._device.buffers.values() if not buffer.is_intact()]
        assert not broken, f"{self._name} wrote outside buffers of {broken} bytes"

    @staticmethod
    def _packed(arg: Any) -> bytes:
        if isinstance(arg, HostBuffer):
            assert not arg.freed
            return arg.address.to_bytes(8, "little")
        if isinstance(arg, np.generic):
            return arg.tobytes()
        assert isinstance(arg, bytes)
        return arg
