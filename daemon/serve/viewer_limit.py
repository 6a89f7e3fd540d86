"""Limits concurrent MJPEG viewers and disconnects them on shutdown."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class ViewerLimit:
    """At most `most` slots for viewers. `close` may be called from any thread, the rest from the event loop."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._lock = threading.Lock()
        self._seated = 0
        self._closed = False
        self._waiting: dict[asyncio.Task[object], asyncio.AbstractEventLoop] = {}

    @contextmanager
    def slot(self) -> Iterator[bool]:
        """Yields True if a slot is free; it is held while the context lasts."""
        with self._lock:
            seated = self._seated < self.most and not self._closed
            self._seated += seated
        try:
            yield seated
        finally:
            with self._lock:
                self._seated -= seated

    async def unless_closed(self, coming: Awaitable[T]) -> T | None:
        """Awaits and returns the result, or returns None as soon as `close` is called."""
        task = asyncio.ensure_future(coming)
        with self._lock:
            if self._closed:
                task.cancel()
            self._waiting[task] = asyncio.get_running_loop()
        try:
            return await task
        except asyncio.CancelledError:
            if self._closed and task.cancelled():
                return None
            raise
        finally:
            with self._lock:
                self._waiting.pop(task, None)

    def close(self) -> None:
        """Disconnects all viewers and admits no more. Idempotent."""
        with self._lock:
            self._closed = True
            waiting = list(self._waiting.items())
        for task, loop in waiting:
            if not loop.is_closed():
                loop.call_soon_threadsafe(task.cancel)
