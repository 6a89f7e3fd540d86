"""How many connections a server holds at once, in all and from one address. No I/O."""

from __future__ import annotations

import ipaddress
import threading
from collections import Counter
from typing import Literal

_SITE_BITS = 64
"""Of an IPv6 address: whoever has one has all that share them."""


class Places:
    """Lets in at most `most` at once, of them at most `most_per_address` from one address. Any thread."""

    def __init__(self, most: int, most_per_address: int) -> None:
        self._most, self._most_per_address = most, most_per_address
        self._lock = threading.Lock()
        self._inside: Counter[str] = Counter()

    def enter(self, address: str) -> Literal["total", "address"] | None:
        """None where there is room, which `leave` then gives back; else what is full."""
        place = place_of(address)
        with self._lock:
            if self._inside[place] >= self._most_per_address:
                return "address"
            if self._inside.total() >= self._most:
                return "total"
            self._inside[place] += 1
            return None

    def leave(self, address: str) -> None:
        """One that was let in is gone."""
        place = place_of(address)
        with self._lock:
            self._inside[place] -= 1
            if self._inside[place] <= 0:
                del self._inside[place]


def place_of(address: str) -> str:
    """What counts as one address: an IPv4 address, also one written as IPv6, or the first half of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, _SITE_BITS), strict=False))
