from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightd.engines.cuda.errors import CudaOutOfMemoryError
from sightd.engines.cuda.pool import Block, Pool, size_class


class Driver:
    """A simulated driver with `room` bytes of memory that counts allocations."""

    def __init__(self, room: int = 1 << 40) -> None:
        self.room, self.alive, self.made = room, dict[int, int](), 0

    def make(self, nbytes: int) -> int:
        if sum(self.alive.values()) + nbytes > self.room:
            raise CudaOutOfMemoryError("the driver", nbytes)
        self.made += 1
        self.alive[self.made] = nbytes
        return self.made

    def destroy(self, memory: int) -> None:
        del self.alive[memory]


def pool(driver: Driver, *, limit: int | None = None, idle_limit: int = 1 << 30) -> Pool[int]:
    return Pool("test memory", driver.make, driver.destroy, limit=limit, idle_limit=idle_limit)


@given(st.integers(1, 1 << 40))
def test_a_size_class_holds_what_was_asked_for_and_at_most_a_quarter_more(nbytes: int) -> None:
    size = size_class(nbytes)
    assert nbytes <= size <= max(512, nbytes * 1.25)
    assert size % 128 == 0
    assert size_class(size) == size


def test_what_was_given_back_is_handed_out_again() -> None:
    blocks = pool(driver := Driver())
    first = blocks.take(1000)
    blocks.give_back(first)
    assert blocks.take(1010) is first
    assert driver.made == 1
    assert blocks.statistics.reused == 1


def test_a_block_in_use_is_never_handed_out() -> None:
    blocks = pool(Driver())
    assert blocks.take(1000) is not blocks.take(1000)


def test_giving_back_twice_does_not_make_two_idle_blocks() -> None:
    blocks = pool(Driver())
    block = blocks.take(1000)
    blocks.give_back(block)
    blocks.give_back(block)
    assert blocks.statistics.idle_blocks == 1


def test_beyond_the_idle_limit_the_longest_idle_block_goes() -> None:
    blocks = pool(driver := Driver(), idle_limit=2048)
    taken = [blocks.take(1024) for _ in range(3)]
    for block in taken:
        blocks.give_back(block)
    assert list(driver.alive) == [2, 3]
    assert blocks.statistics.idle_bytes == 2048


def test_idle_blocks_make_room_under_the_limit() -> None:
    blocks = pool(driver := Driver(), limit=4096)
    blocks.give_back(blocks.take(2048))
    blocks.take(4096)
    assert list(driver.alive.values()) == [4096]


def test_the_limit_is_kept_and_reported() -> None:
    blocks = pool(driver := Driver(), limit=4096)
    blocks.take(2048)
    with pytest.raises(
        CudaOutOfMemoryError, match=r"limited to 4096 bytes: 4096 bytes .* 2048 bytes of 4096 bytes"
    ) as e:
        blocks.take(4000)
    assert (e.value.requested, e.value.free, e.value.total) == (4096, 2048, 4096)
    assert driver.made == 1


def test_idle_blocks_are_given_up_where_the_driver_has_no_room() -> None:
    blocks = pool(driver := Driver(room=4096))
    blocks.give_back(blocks.take(2048))
    blocks.take(4096)
    assert list(driver.alive.values()) == [4096]


def test_a_refusal_of_the_driver_reserves_nothing() -> None:
    blocks = pool(Driver(room=1024), limit=8192)
    for _ in range(10):
        with pytest.raises(CudaOutOfMemoryError):
            blocks.take(4096)
    assert blocks.take(1024).size == 1024


def test_a_discarded_block_is_destroyed_and_not_reused() -> None:
    blocks = pool(driver := Driver(), limit=1024)
    blocks.discard(blocks.take(1024))
    assert not driver.alive
    assert blocks.take(1024).size == 1024


def test_clearing_destroys_used_blocks_too_and_late_returns_are_ignored() -> None:
    blocks = pool(driver := Driver())
    late = blocks.take(1000)
    blocks.give_back(blocks.take(5000))
    blocks.clear()
    blocks.give_back(late)
    blocks.discard(late)
    assert not driver.alive
    statistics = blocks.statistics
    assert (statistics.used_bytes, statistics.idle_bytes, statistics.used_blocks) == (0, 0, 0)


def test_a_block_has_at_least_a_byte() -> None:
    with pytest.raises(ValueError, match="at least 1 byte"):
        pool(Driver()).take(0)


@given(st.lists(st.tuples(st.integers(1, 100_000), st.booleans()), max_size=60))
def test_the_books_agree_with_the_driver(steps: list[tuple[int, bool]]) -> None:
    blocks = pool(driver := Driver(), limit=1_000_000, idle_limit=200_000)
    used: list[Block[int]] = []
    for nbytes, giving_back in steps:
        if giving_back and used:
            blocks.give_back(used.pop(nbytes % len(used)))
            continue
        try:
            used.append(blocks.take(nbytes))
        except CudaOutOfMemoryError:
            assert sum(block.size for block in used) + size_class(nbytes) > 1_000_000
    statistics = blocks.statistics
    assert statistics.used_bytes == sum(block.size for block in used)
    assert statistics.used_bytes + statistics.idle_bytes == sum(driver.alive.values()) <= statistics.peak_bytes
    assert statistics.idle_bytes <= 200_000
    assert statistics.peak_bytes <= 1_000_000
    assert len({id(block.memory) for block in used}) == len(used)


def test_threads_share_a_pool() -> None:
    blocks = pool(driver := Driver(), limit=1 << 20)
    driver_lock = threading.Lock()
    make = driver.make

    def guarded(nbytes: int) -> int:
        with driver_lock:
            return make(nbytes)

    blocks = Pool("test memory", guarded, driver.destroy, limit=1 << 20, idle_limit=1 << 20)

    def work() -> None:
        for size in range(1, 2000, 7):
            blocks.give_back(blocks.take(size))

    threads = [threading.Thread(target=work, name=f"pool-{n}") for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert blocks.statistics.used_blocks == 0
    assert blocks.statistics.idle_bytes == sum(driver.alive.values())
