"""The MJPEG viewers of the moment: how many there may be, and how all of them are sent home."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class Audience:
    """Seats for at most `most` viewers. `close` may be called from any thread, the rest from the event loop."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._lock = threading.Lock()
        self._seated = 0
        self._closed = False
        self._waiting: dict[asyncio.Task[object], asyncio.AbstractEventLoop] = {}

    @contextmanager
    def seat(self) -> Iterator[bool]:
        """True if there is a free seat, which is then held as long as the context lasts."""
        with self._lock:
            seated = self._seated < self.most and not self._closed
            self._seated += seated
        try:
            yield seated
        finally:
            with self._lock:
                self._seated -= seated

    async def unless_closed(self, coming: Awaitable[T]) -> T | None:
        """What is awaited, or None as soon as the audience is closed."""
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
        """Sends all viewers home and lets nobody in. Twice is safe."""
        with self._lock:
            self._closed = True
            waiting = list(self._waiting.items())
        for task, loop in waiting:
            if not loop.is_closed():
                loop.call_soon_threadsafe(task.cancel)
