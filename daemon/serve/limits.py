"""Limits on connections, viewers and file descriptors, and the count of connections that were rejected."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import resource
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal, TypeVar

from sightd.engines.log_throttle import LogThrottle

log = logging.getLogger(__name__)

_SITE_BITS = 64
"""Prefix length of an IPv6 site: one client owns all addresses in it."""


class ConnectionLimiter:
    """Admits at most `most` connections at once, at most `most_per_address` of them from one address. Thread-safe."""

    def __init__(self, most: int, most_per_address: int) -> None:
        self._most, self._most_per_address = most, most_per_address
        self._lock = threading.Lock()
        self._inside: Counter[str] = Counter()

    def enter(self, address: str) -> Literal["total", "address"] | None:
        """Takes a slot, which `leave` releases, and returns None; else returns which limit is reached."""
        place = client_key(address)
        with self._lock:
            if self._inside[place] >= self._most_per_address:
                return "address"
            if self._inside.total() >= self._most:
                return "total"
            self._inside[place] += 1
            return None

    def leave(self, address: str) -> None:
        """Releases the slot of an admitted connection."""
        place = client_key(address)
        with self._lock:
            self._inside[place] -= 1
            if self._inside[place] <= 0:
                del self._inside[place]


def client_key(address: str) -> str:
    """The key that counts as one address: an IPv4 address, also if mapped to IPv6, or the /64 prefix of an IPv6
    address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, _SITE_BITS), strict=False))


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


class RejectionCounter:
    """Rejections of one server. Thread-safe.

    `sentences` maps each reason to its description, `count` increments the reason's counter, `clock` returns monotonic
    seconds.
    """

    def __init__(
        self,
        server: str,
        sentences: Mapping[str, str],
        count: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server, self._sentences, self._count = server, sentences, count
        self._throttle = LogThrottle(clock)

    def add(self, reason: str, address: str) -> None:
        """Counts one rejected connection from `address`. Raises KeyError for an unknown reason."""
        sentence = self._sentences[reason]
        self._count(reason)
        if times := self._throttle.add(reason):
            log.warning("%s closed %d connection(s), the last from %s: %s", self._server, times, address, sentence)


DESCRIPTOR_RESERVE = 16
"""Reserved for feeds to reconnect and for libraries, some of which abort the process without one."""


def free_descriptors() -> int:
    """Number of descriptors that this process may still open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        used = len(os.listdir("/proc/self/fd")) - 1  # noqa: PTH208 — names suffice; one is this listing's own
    except OSError:
        return 0  # no descriptor left for the listing
    return max(0, soft - used)


def descriptor_shortage() -> str | None:
    """Returns an error message if too few descriptors are left, else None."""
    left = free_descriptors()
    if left >= DESCRIPTOR_RESERVE:
        return None
    return f"only {left} file descriptors left: raise the limit (LimitNOFILE of the service, ulimit -n)"
