"""A pool of memory blocks: freed ones are kept, up to a bound, and handed out again instead of asking the driver.

It knows no CUDA: how blocks are made and destroyed is passed in, so it serves device and page-locked memory alike.
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
    """A pool's state of one moment. Bytes are those of whole blocks, which may be larger than what was asked for."""

    used_bytes: int
    used_blocks: int
    idle_bytes: int
    idle_blocks: int
    peak_bytes: int
    """The most that was ever held at once, used and idle."""
    made: int
    """Blocks that the driver was asked for since the start; a steady stream makes none."""
    reused: int


@dataclass(frozen=True, slots=True)
class Block(Generic[T]):
    """A block of `size` bytes; `memory` is whatever `make` returned."""

    memory: T
    size: int


class Pool(Generic[T]):
    """Blocks by size class; from any thread.

    `limit` bounds what is held in all (None: the driver alone bounds it), `idle_limit` what is kept idle: beyond it,
    the blocks that lay idle the longest are destroyed. Nothing here waits for the device: who gives a block back says
    that no work under way uses it any more.
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
        """`make` raises CudaOutOfMemoryError where there is no room; both are called without the pool's lock held."""
        self._name, self._make, self._destroy = name, make, destroy
        self._limit, self._idle_limit = limit, idle_limit
        self._lock = threading.Lock()
        self._used: dict[int, Block[T]] = {}
        self._idle: OrderedDict[int, Block[T]] = OrderedDict()
        self._held = self._idle_bytes = self._peak = self._made = self._reused = 0

    def take(self, nbytes: int) -> Block[T]:
        """A block of at least `nbytes`, which must be positive. Where there is no room, idle blocks are given up
        first; CudaOutOfMemoryError if that does not help."""
        if nbytes <= 0:
            raise ValueError(f"{self._name}: a block has at least 1 byte, {nbytes} were asked for")
        size = size_class(nbytes)
        block = self._reuse(size)
        if block is None:
            self._make_room(size)
            block = self._fresh(size)
        return block

    def give_back(self, block: Block[T]) -> None:
        """Makes the block idle; a block that the pool no longer has (it was cleared) is left alone."""
        with self._lock:
            if self._used.pop(id(block), None) is None:
                return
            self._idle[id(block)] = block
            self._idle_bytes += block.size
            surplus = self._take_idle(lambda: self._idle_bytes > self._idle_limit)
        self._destroy_all(surplus)

    def discard(self, block: Block[T]) -> None:
        """Destroys a block that was taken and never given back, so that nobody knows whether work still uses it: the
        driver waits for that before it frees memory, reusing it would not."""
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
        """Destroys all blocks, used ones too: the owner closes."""
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
        """The idle block of that class that lay idle the shortest: its memory is the likeliest to be in a cache."""
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
        """Reserves `size` bytes under the limit."""
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
        """Takes idle blocks out, those idle the longest first, while `wanted` holds. The lock is held."""
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
    """The size of the block for `nbytes`: four classes to each doubling from 512 bytes on, so at most a quarter more
    than was asked for."""
    if nbytes <= _SMALLEST:
        return _SMALLEST
    step = max(_SMALLEST // _STEPS, (1 << (nbytes - 1).bit_length() - 1) // _STEPS)
    return -(-nbytes // step) * step
