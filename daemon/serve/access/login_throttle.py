"""Throttles failed logins per address."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from sightd.daemon.serve.limits import client_key

AT_ONCE = 10
"""Consecutive failed logins allowed without a delay."""
ONE_MORE_AFTER = 6.0
"""Seconds until a throttled address gets one more attempt."""
_MOST_ADDRESSES = 4096
_REMEMBERED = 8


@dataclass(slots=True)
class _Bucket:
    level: float = 0.0
    at: float = 0.0
    guesses: deque[int] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))


class LoginThrottle:
    """A leaky bucket per address; if there are too many, the address whose last failure is oldest is dropped.
    Thread-safe.

    While an address is throttled, none of its credentials are checked, right or wrong: otherwise guessing would
    continue at full speed, and only the answers would be withheld. Repeating the same wrong credentials does not count
    again: a scraper with an old token must not lock out other clients at its address.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def wait(self, address: str) -> float:
        """Seconds that the address has to wait; 0 if it is not throttled."""
        with self._lock:
            bucket = self._buckets.get(client_key(address))
            return 0.0 if bucket is None else max(0.0, self._level(bucket) - AT_ONCE + 1) * ONE_MORE_AFTER

    def failed(self, address: str, guess: str | None = None) -> None:
        """Records a failed login. Of `guess`, if known, only a hash is kept, in this process."""
        place = client_key(address)
        with self._lock:
            bucket = self._buckets.setdefault(place, _Bucket())
            self._buckets.move_to_end(place)
            if guess is not None:
                if hash(guess) in bucket.guesses:
                    return
                bucket.guesses.append(hash(guess))
            bucket.level, bucket.at = min(AT_ONCE, self._level(bucket) + 1), self._clock()
            if len(self._buckets) > _MOST_ADDRESSES:
                self._buckets.popitem(last=False)

    def _level(self, bucket: _Bucket) -> float:
        return max(0.0, bucket.level - (self._clock() - bucket.at) / ONE_MORE_AFTER)
