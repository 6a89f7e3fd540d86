"""The device as the launchers see it, and the upload of descriptors to it.

`engines.cuda.driver` implements these interfaces; tests have a host implementation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Grid = tuple[int, int, int]


class Buffer(Protocol):
    """Device memory. Copies are asynchronous: the host array must stay valid until the stream is synchronised.

    `free` is idempotent.
    """

    @property
    def address(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    def upload(self, host: NDArray[Any], stream: Any) -> None: ...
    def download(self, host: NDArray[Any], stream: Any) -> None: ...
    def fill(self, byte: int, stream: Any) -> None: ...
    def free(self) -> None: ...


class Pinned(Protocol):
    """Page-locked host memory as a NumPy array."""

    @property
    def array(self) -> NDArray[Any]: ...
    def free(self) -> None: ...


class Function(Protocol):
    """A kernel. Arguments are buffers, NumPy scalars of 4 or 8 bytes, and structs by value as `bytes`."""

    def launch(self, grid: Grid, block: Grid, *args: Any, stream: Any) -> None: ...


class Module(Protocol):
    def function(self, name: str) -> Function: ...


class Device(Protocol):
    def allocate(self, nbytes: int) -> Buffer: ...
    def pinned(self, shape: Any, dtype: Any) -> Pinned: ...
    def module(self, cubin: bytes) -> Module: ...


class Kernels(Protocol):
    """Source of kernels: `kernels.function("preprocess", "preprocess_f32")` returns that kernel of preprocess.cu."""

    def function(self, source: str, name: str) -> Function: ...


def blocks(work: int, block: int) -> int:
    """Returns the number of blocks of `block` threads that cover `work` items."""
    return -(-work // block)


def precision(dtype: np.dtype[Any], kernel: str) -> str:
    """Returns the kernel's name for tensors of that dtype. Raises ValueError unless it is float32 or float16."""
    try:
        return kernel + {np.dtype(np.float32): "_f32", np.dtype(np.float16): "_f16"}[dtype]
    except KeyError:
        raise ValueError(f"kernels support float32 and float16, not {dtype}") from None


class Staging:
    """Host and device memory for up to `most` structs of one dtype.

    The next `send` overwrites the host side, so the stream of the previous one must have been synchronised, or at least
    have passed the copy. Use from one thread. `close` is idempotent.
    """

    def __init__(self, device: Device, dtype: np.dtype[Any], most: int) -> None:
        self._pinned = device.pinned((most,), dtype)
        self.buffer: Buffer = device.allocate(most * dtype.itemsize)
        self.most = most

    def send(self, structs: Sequence[Any] | NDArray[Any], stream: Any) -> Buffer:
        """Uploads the structs in order. The returned buffer remains owned by this object."""
        if len(structs) > self.most:
            raise ValueError(f"a batch of {len(structs)} exceeds the buffer size of {self.most}")
        host = self._pinned.array
        if isinstance(structs, np.ndarray):
            host[: len(structs)] = structs
        else:
            for i, struct in enumerate(structs):
                host[i] = struct
        self.buffer.upload(host[: len(structs)], stream)
        return self.buffer

    def close(self) -> None:
        self.buffer.free()
        self._pinned.free()


class GrowingStaging:
    """Host and device memory for rows of one dtype; grows to the largest number ever sent at once.

    The stream must be synchronised between two calls of `send`. Use from one thread. `close` is idempotent.
    """

    def __init__(self, device: Device, dtype: np.dtype[Any], first: int = 1) -> None:
        """`first` is how many rows there is memory for before it grows."""
        self._device, self._dtype = device, dtype
        self._staging = Staging(device, dtype, first)

    def send(self, parts: Sequence[NDArray[Any]], stream: Any) -> Buffer:
        """Uploads the rows of all parts, one after the other. The returned buffer remains owned by this object and is
        valid until the next call."""
        rows = sum(len(part) for part in parts)
        if rows > self._staging.most:
            larger = Staging(self._device, self._dtype, max(rows, 2 * self._staging.most))
            self._staging.close()
            self._staging = larger
        return self._staging.send(np.concatenate(parts), stream) if rows else self._staging.buffer

    def close(self) -> None:
        self._staging.close()
