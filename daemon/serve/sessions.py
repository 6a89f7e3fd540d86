"""Sessions of browsers that have logged in: the browser keeps a random secret, and this process only its digest."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

IDLE = 24 * 3600.0
"""Seconds without a request after which a session ends."""
LONGEST = 30 * 86400.0
"""Seconds after which a session ends even if it is in use."""
LONGEST_LOGIN = 600.0
"""Seconds that a user may take to log in at an OpenID provider."""
MOST_SESSIONS = 1024
MOST_PER_OWNER = 64
"""Sessions in total and of one owner; beyond these, the one that was unused for longest ends."""
_BYTES = 32


@dataclass(slots=True)
class _Entry(Generic[T]):
    owner: Hashable
    value: T
    ends: float
    used: float


class Sessions(Generic[T]):
    """What sessions hold by their secret. Lost with the process. Thread-safe."""

    def __init__(
        self, idle: float = IDLE, longest: float = LONGEST, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._idle, self._longest, self._clock = idle, longest, clock
        self._lock = threading.Lock()
        self._entries: OrderedDict[bytes, _Entry[T]] = OrderedDict()

    def __len__(self) -> int:
        with self._lock:
            return len(self._entries)

    def begin(self, owner: Hashable, value: T, longest: float | None = None) -> str:
        """Begins a session and returns its secret of 256 random bits. `longest` replaces that of all sessions if it is
        shorter."""
        secret, now = secrets.token_urlsafe(_BYTES), self._clock()
        ends = now + min(self._longest, self._longest if longest is None else longest)
        with self._lock:
            for key in [key for key, one in self._entries.items() if self._has_ended(one, now)]:
                del self._entries[key]
            of_owner = [key for key, one in self._entries.items() if one.owner == owner]
            if len(of_owner) >= MOST_PER_OWNER:
                del self._entries[of_owner[0]]
            elif len(self._entries) >= MOST_SESSIONS:
                self._entries.popitem(last=False)
            self._entries[_digest(secret)] = _Entry(owner, value, ends, now)
        return secret

    def find(self, secret: str) -> T | None:
        """Returns what the session holds and prolongs it; None if it has ended or never existed."""
        key, now = _digest(secret), self._clock()
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or self._has_ended(entry, now):
                return None
            entry.used = now
            self._entries.move_to_end(key)
            return entry.value

    def take(self, secret: str) -> T | None:
        """Ends a session and returns what it held, to one caller only; None if it had ended or never existed."""
        with self._lock:
            entry = self._entries.pop(_digest(secret), None)
        return None if entry is None or self._has_ended(entry, self._clock()) else entry.value

    def end(self, secret: str) -> None:
        """Ends a session. Idempotent."""
        with self._lock:
            self._entries.pop(_digest(secret), None)

    def _has_ended(self, entry: _Entry[T], now: float) -> bool:
        return now - entry.used >= self._idle or now >= entry.ends


def _digest(secret: str) -> bytes:
    """Looking a digest up instead of the secret keeps the time of a comparison from revealing anything of it."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
