"""How often an address may come with a wrong token or password before it has to wait."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from sightd.daemon.serve.places import place_of

AT_ONCE = 10
"""Wrong ones in a row that nobody is held up for."""
ONE_MORE_AFTER = 6.0
"""Seconds after which an address that used them up may try once more."""
_MOST_ADDRESSES = 4096
_REMEMBERED = 8


@dataclass(slots=True)
class _Bucket:
    level: float = 0.0
    at: float = 0.0
    guesses: deque[int] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))


class Attempts:
    """A leaky bucket for each address; the address that failed longest ago is forgotten first. Any thread.

    While an address waits nothing that it brings is looked at, right or wrong: else guessing would go on at full
    speed, and only the answer be held back. The same wrong one again is no guess: a scraper with an old token must
    not shut out all else that comes from its address.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def wait(self, address: str) -> float:
        """Seconds that the address has to wait; 0 where it need not."""
        with self._lock:
            bucket = self._buckets.get(place_of(address))
            return 0.0 if bucket is None else max(0.0, self._level(bucket) - AT_ONCE + 1) * ONE_MORE_AFTER

    def failed(self, address: str, guess: str | None = None) -> None:
        """It came with a wrong one; which, where that is known: it is not kept, only its hash in this process."""
        place = place_of(address)
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
