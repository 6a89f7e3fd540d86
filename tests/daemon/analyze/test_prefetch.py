"""Prefetching changes when items are read, not which items come."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from sightd.daemon.analyze.prefetch import prefetch
from tests.support.waiting import eventually


def test_gives_the_same_items_in_the_same_order() -> None:
    assert list(prefetch(iter(range(100)), depth=3)) == list(range(100))


def test_an_error_comes_after_the_items_before_it() -> None:
    def broken() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("frame 3 is broken")

    items = prefetch(broken())
    assert next(items) == 1
    assert next(items) == 2
    with pytest.raises(ValueError, match="frame 3"):
        next(items)


def test_is_bounded() -> None:
    made = []

    def counting() -> Iterator[int]:
        for n in range(1000):
            made.append(n)
            yield n

    items = prefetch(counting(), depth=4)
    next(items)
    eventually(lambda: len(made) >= 5)
    assert len(made) <= 7
    items.close()  # type: ignore[attr-defined]


def test_closes_the_items_when_given_up() -> None:
    closed_by: list[str] = []

    def counting() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            closed_by.append(threading.current_thread().name)

    source = counting()  # referred to here: nothing but `close` ends it
    items = prefetch(source, depth=2)
    next(items)
    items.close()  # type: ignore[attr-defined]
    assert closed_by == ["read-ahead"]


def test_leaves_no_thread_behind_when_given_up() -> None:
    items = prefetch(iter(range(1000)), depth=2)
    next(items)
    items.close()  # type: ignore[attr-defined]
    assert not any(thread.name == "read-ahead" for thread in threading.enumerate())
