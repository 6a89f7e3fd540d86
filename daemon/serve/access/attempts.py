"""How often an address may come with a wrong token or password before it has to wait."""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

AT_ONCE = 10
"""Wrong ones in a row that nobody is held up for."""
ONE_MORE_AFTER = 6.0
"""Seconds after which an address that used them up may try once more."""
_MOST_ADDRESSES = 4096


class Attempts:
    """A leaky bucket for each address; the address that failed longest ago is forgotten first. Any thread.

    While an address waits nothing that it brings is looked at, right or wrong: else guessing would go on at full
    speed, and only the answer be held back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, address: str) -> float:
        """Seconds that the address has to wait; 0 where it need not."""
        with self._lock:
            return max(0.0, self._level(_network(address)) - AT_ONCE + 1) * ONE_MORE_AFTER

    def failed(self, address: str) -> None:
        """It came with a wrong one."""
        network = _network(address)
        with self._lock:
            self._buckets[network] = (min(AT_ONCE, self._level(network) + 1), self._clock())
            self._buckets.move_to_end(network)
            if len(self._buckets) > _MOST_ADDRESSES:
                self._buckets.popitem(last=False)

    def _level(self, network: str) -> float:
        level, at = self._buckets.get(network, (0.0, 0.0))
        return max(0.0, level - (self._clock() - at) / ONE_MORE_AFTER)


def _network(address: str) -> str:
    """An IPv6 host has a whole /64 to come from."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)
