"""The device interfaces that the launchers use. `engines.cuda.driver` implements them; tests have a host
implementation."""

from __future__ import annotations

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
