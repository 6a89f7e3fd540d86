"""Limits a server's concurrent connections, in total and per address. No I/O."""

from __future__ import annotations

import ipaddress
import threading
from collections import Counter
from typing import Literal

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
