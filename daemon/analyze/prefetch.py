"""Prefetch: a thread decodes the next frames while models run on the frames before them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from contextlib import closing, nullcontext
from typing import TypeVar

T = TypeVar("T")


def prefetch(items: Iterator[T], depth: int = 8) -> Iterator[T]:
    """Yields the same items in the same order, at most `depth` of them prefetched; an error is raised in its place."""
    made: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(maxsize=depth)
    stop = threading.Event()

    def put(item: T | None, error: BaseException | None) -> None:
        while not stop.is_set():
            try:
                made.put((item, error), timeout=0.1)
            except queue.Full:
                continue
            return

    def make() -> None:
        try:
            with closing(items) if isinstance(items, Generator) else nullcontext():
                for item in items:
                    put(item, None)
                    if stop.is_set():
                        return
        except BaseException as error:  # noqa: BLE001 — passed to the consumer, which raises it
            put(None, error)
            return
        put(None, StopIteration())

    thread = threading.Thread(target=make, name="read-ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error = made.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # type: ignore[misc]
    finally:
        stop.set()
        thread.join(5.0)
