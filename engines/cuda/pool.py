"""A pool of memory blocks. Freed blocks are kept, up to a limit, and reused instead of asking the driver.

Independent of CUDA: functions to create and destroy blocks are passed in, so it serves device and page-locked memory.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from sightd.engines.cuda.errors import CudaOutOfMemoryError

_SMALLEST = 512
_STEPS = 4

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """A snapshot of a pool. Bytes count whole blocks, which may be larger than requested."""

    used_bytes: int
    used_blocks: int
    idle_bytes: int
    idle_blocks: int
    peak_bytes: int
    """Highest number of bytes ever held at once, used and idle."""
    made: int
    """Blocks requested from the driver since the start. In a steady state there are no new ones."""
    reused: int


@dataclass(frozen=True, slots=True)
class Block(Generic[T]):
    """A block of `size` bytes; `memory` is what `make` returned."""

    memory: T
    size: int


class Pool(Generic[T]):
    """Memory blocks by size class. Thread-safe.

    `limit` bounds the total (None: only the driver does), and `idle_limit` the idle blocks; beyond it, those idle
    longest are destroyed. The pool never waits for the device: return a block only when no work in progress uses it.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[int], T],
        destroy: Callable[[T], None],
        *,
        limit: int | None,
        idle_limit: int,
    ) -> None:
        """`make` raises CudaOutOfMemoryError if there is no memory. Both functions are called without holding the
        pool's lock."""
        self._name, self._make, self._destroy = name, make, destroy
        self._limit, self._idle_limit = limit, idle_limit
        self._lock = threading.Lock()
        self._used: dict[int, Block[T]] = {}
        self._idle: OrderedDict[int, Block[T]] = OrderedDict()
        self._held = self._idle_bytes = self._peak = self._made = self._reused = 0

    def take(self, nbytes: int) -> Block[T]:
        """Returns a block of at least `nbytes`, which must be positive. Destroys idle blocks first if there is not
        enough memory, and raises CudaOutOfMemoryError if that does not help."""
        if nbytes <= 0:
            raise ValueError(f"{self._name}: a block must have at least 1 byte, but {nbytes} were requested")
        size = size_class(nbytes)
        block = self._reuse(size)
        if block is None:
            self._make_room(size)
            block = self._fresh(size)
        return block

    def give_back(self, block: Block[T]) -> None:
        """Makes the block idle. Ignores blocks that the pool no longer owns because it was cleared."""
        with self._lock:
            if self._used.pop(id(block), None) is None:
                return
            self._idle[id(block)] = block
            self._idle_bytes += block.size
            surplus = self._take_idle(lambda: self._idle_bytes > self._idle_limit)
        self._destroy_all(surplus)

    def discard(self, block: Block[T]) -> None:
        """Destroys a block that was never given back, so that work may still use it. The driver waits for such work
        before it frees memory; reusing the block would not."""
        with self._lock:
            if self._used.pop(id(block), None) is None:
                return
            self._held -= block.size
        self._destroy(block.memory)

    def trim(self) -> None:
        """Destroys all idle blocks."""
        with self._lock:
            surplus = self._take_idle(lambda: True)
        self._destroy_all(surplus)

    def clear(self) -> None:
        """Destroys all blocks, including used ones, when the owner closes."""
        with self._lock:
            surplus = [*self._take_idle(lambda: True), *self._used.values()]
            self._held -= sum(block.size for block in self._used.values())
            self._used.clear()
        self._destroy_all(surplus)

    @property
    def statistics(self) -> PoolStatistics:
        with self._lock:
            return PoolStatistics(
                used_bytes=sum(block.size for block in self._used.values()),
                used_blocks=len(self._used),
                idle_bytes=self._idle_bytes,
                idle_blocks=len(self._idle),
                peak_bytes=self._peak,
                made=self._made,
                reused=self._reused,
            )

    def _reuse(self, size: int) -> Block[T] | None:
        """Returns the most recently used idle block of that size, because its memory is most likely still cached, or
        None."""
        with self._lock:
            for key in reversed(self._idle):
                block = self._idle[key]
                if block.size == size:
                    del self._idle[key]
                    self._idle_bytes -= size
                    self._used[key] = block
                    self._reused += 1
                    return block
        return None

    def _make_room(self, size: int) -> None:
        """Reserves `size` bytes under the limit. Raises CudaOutOfMemoryError if that is not possible."""
        with self._lock:
            surplus = self._take_idle(lambda: self._over(size))
            over = self._over(size)
            if not over:
                self._held += size
        self._destroy_all(surplus)
        if over:
            free = max(0, (self._limit or 0) - self._held)
            raise CudaOutOfMemoryError(f"{self._name}, limited to {self._limit} bytes", size, free, self._limit)

    def _fresh(self, size: int) -> Block[T]:
        try:
            memory = self._made_or_trimmed(size)
        except BaseException:
            with self._lock:
                self._held -= size
            raise
        block = Block(memory, size)
        with self._lock:
            self._used[id(block)] = block
            self._made += 1
            self._peak = max(self._peak, self._held)
        return block

    def _made_or_trimmed(self, size: int) -> T:
        try:
            return self._make(size)
        except CudaOutOfMemoryError:
            self.trim()
            return self._make(size)

    def _over(self, size: int) -> bool:
        return self._limit is not None and self._held + size > self._limit

    def _take_idle(self, wanted: Callable[[], bool]) -> list[Block[T]]:
        """Removes and returns idle blocks, those idle longest first, while `wanted` holds. The lock must be held."""
        taken = []
        while self._idle and wanted():
            _, block = self._idle.popitem(last=False)
            self._idle_bytes -= block.size
            self._held -= block.size
            taken.append(block)
        return taken

    def _destroy_all(self, blocks: list[Block[T]]) -> None:
        for block in blocks:
            self._destroy(block.memory)


def size_class(nbytes: int) -> int:
    """Returns the block size for `nbytes`. There are four size classes per doubling, from 512 bytes, so a block is at
    most a quarter larger than requested."""
    if nbytes <= _SMALLEST:
        return _SMALLEST
    step = max(_SMALLEST // _STEPS, (1 << (nbytes - 1).bit_length() - 1) // _STEPS)
    return -(-nbytes // step) * step
