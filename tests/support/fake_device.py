"""A stand-in for a CUDA device: host memory, streams that run work at once, graphs that replay; all objects are
counted."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

MEMORY: dict[int, NDArray[np.uint8]] = {}
"""Device memory by address."""
STREAMS: dict[int, FakeStream] = {}
_ADDRESSES = itertools.count(0x10000, 0x100000)


class FakeDevice:
    """`live` holds the objects that were created and not freed; `is_active` is the current nesting depth of
    `active`."""

    def __init__(self) -> None:
        self.ordinal = 0
        self.name = "Stand-in"
        self.compute_capability = (8, 6)
        self.live: list[object] = []
        self.is_active = 0
        self.budget = 1 << 30

    @contextmanager
    def active(self) -> Iterator[None]:
        self.is_active += 1
        yield
        self.is_active -= 1

    def stream(self) -> FakeStream:
        return FakeStream(self)

    def allocate(self, nbytes: int) -> FakeBuffer:
        if nbytes > self.budget:
            raise MemoryError(f"{nbytes} bytes were asked for")
        return FakeBuffer(self, nbytes)

    def pinned(self, shape: tuple[int, ...], dtype: DTypeLike) -> FakePinned:
        return FakePinned(self, shape, dtype)

    def close(self) -> None:
        assert not self.live, "closed with things of it still alive"


class Owned:
    def __init__(self, device: FakeDevice) -> None:
        self.device = device
        device.live.append(self)

    def free(self) -> None:
        if self in self.device.live:
            self.device.live.remove(self)

    close = free


class FakeBuffer(Owned):
    def __init__(self, device: FakeDevice, nbytes: int) -> None:
        super().__init__(device)
        self.nbytes = nbytes
        self.address = next(_ADDRESSES)
        MEMORY[self.address] = np.full(nbytes, 0xAB, np.uint8)

    def upload(self, host: NDArray[Any], stream: FakeStream) -> None:
        assert host.flags.c_contiguous
        stream.do(lambda: self._bytes(host.nbytes).__setitem__(slice(None), host.reshape(-1).view(np.uint8)))

    def download(self, host: NDArray[Any], stream: FakeStream) -> None:
        assert host.flags.c_contiguous
        stream.do(lambda: host.reshape(-1).view(np.uint8).__setitem__(slice(None), self._bytes(host.nbytes)))

    def _bytes(self, count: int) -> NDArray[np.uint8]:
        return MEMORY[self.address][:count]

    def free(self) -> None:
        super().free()
        MEMORY.pop(self.address, None)


class FakePinned(Owned):
    def __init__(self, device: FakeDevice, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        super().__init__(device)
        self.array: NDArray[Any] = np.empty(shape, dtype)


class FakeEvent(Owned):
    pass


class FakeGraph(Owned):
    def __init__(self, device: FakeDevice, work: list[Callable[[], None]]) -> None:
        super().__init__(device)
        self.work = work

    def launch(self, stream: FakeStream) -> None:
        stream.launches += 1
        for work in self.work:
            work()


class FakeCapture:
    graph: FakeGraph


class FakeStream(Owned):
    def __init__(self, device: FakeDevice) -> None:
        super().__init__(device)
        self.handle = next(_ADDRESSES)
        self.captured: list[Callable[[], None]] | None = None
        self.launches = 0
        self.waited: list[object] = []
        STREAMS[self.handle] = self

    def do(self, work: Callable[[], None]) -> None:
        if self.captured is None:
            work()
        else:
            self.captured.append(work)

    def synchronize(self) -> None:
        assert self.captured is None

    def wait(self, event: FakeEvent) -> None:
        self.waited.append(event)

    def record(self) -> FakeEvent:
        return FakeEvent(self.device)

    @contextmanager
    def capture(self) -> Iterator[FakeCapture]:
        capture, self.captured = FakeCapture(), []
        try:
            yield capture
            capture.graph = FakeGraph(self.device, self.captured)
        finally:
            self.captured = None
