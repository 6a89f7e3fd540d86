"""Hands a camera's newest JPEG from the drawing thread to viewers on the event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

INTEREST = 2.0
"""Seconds for which images are still encoded after the last viewer asked for one."""
FRESH = 0.5
"""Seconds for which the newest image may answer a request for a still."""


@dataclass(frozen=True, slots=True)
class JpegPicture:
    """A JPEG file in memory. `captured_at` is monotonic time in seconds; `number` increases by one per image."""

    data: bytes
    captured_at: float
    number: int


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[None]

    def wake(self) -> None:
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._resolve)

    def _resolve(self) -> None:
        if not self.future.done():
            self.future.set_result(None)


class JpegStream:
    """Holds only the newest image: a slow viewer skips images, and nothing queues.

    `wanted` and `publish` belong to the camera's thread; await `newest` and `still` on any event loop. `max_fps` limits
    how often `wanted` returns true. `clock` returns monotonic seconds.
    """

    def __init__(self, max_fps: float = 15.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = 1.0 / max_fps
        self._clock = clock
        self._lock = threading.Lock()
        self._waiters: set[_Waiter] = set()
        self._viewers = 0
        self._picture: JpegPicture | None = None
        self._published_at = float("-inf")
        self._asked_at = float("-inf")
        self._due_at = float("-inf")
        self._closed = False

    @property
    def wanted(self) -> bool:
        """Whether an image made now would be used: a viewer waits, or asked within the last 2 s, and the next one is
        due."""
        with self._lock:
            now = self._clock()
            return (bool(self._waiters) or now - self._asked_at < INTEREST) and now >= self._due_at

    @property
    def clients(self) -> int:
        """Number of viewers of the stream; requests for stills are not counted."""
        return self._viewers

    def publish(self, jpeg: bytes, captured_at: float) -> None:
        """Replaces the image and wakes everyone waiting for one. Thread-safe; does not block."""
        with self._lock:
            now = self._clock()
            number = 1 if self._picture is None else self._picture.number + 1
            self._picture = JpegPicture(jpeg, captured_at, number)
            self._published_at = now
            self._due_at = max(self._due_at + self._interval, now)
            woken, self._waiters = self._waiters, set()
        for waiter in woken:
            waiter.wake()

    async def newest(self, after: int = 0) -> JpegPicture | None:
        """Returns the newest image with a number above `after`, waiting if necessary; None once the stream is
        closed."""
        while True:
            with self._lock:
                self._asked_at = self._clock()
                if self._closed:
                    return None
                if self._picture is not None and self._picture.number > after:
                    return self._picture
                loop = asyncio.get_running_loop()
                waiter = _Waiter(loop, loop.create_future())
                self._waiters.add(waiter)
            try:
                await waiter.future
            finally:
                with self._lock:
                    self._waiters.discard(waiter)

    async def still(self, within: float = 3.0) -> JpegPicture | None:
        """Returns an image no older than 0.5 s, waiting if necessary; None after `within` seconds or if closed."""
        with self._lock:
            picture = self._picture
            old = self._clock() - self._published_at > FRESH
        after = picture.number if picture is not None and old else 0
        try:
            return await asyncio.wait_for(self.newest(after), within)
        except TimeoutError:
            return None

    @contextmanager
    def viewer(self) -> Iterator[None]:
        """Counts a viewer while the context lasts."""
        with self._lock:
            self._viewers += 1
        try:
            yield
        finally:
            with self._lock:
                self._viewers -= 1

    def close(self) -> None:
        """Ends the stream for everyone waiting. Idempotent."""
        with self._lock:
            self._closed = True
            woken, self._waiters = self._waiters, set()
        for waiter in woken:
            waiter.wake()
