"""Host name lookups through the system's resolver. Each call may block as long as its name servers do."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit


def resolves(address: str) -> bool:
    """Returns whether the host name in `address` can be resolved. FFmpeg and GStreamer do not report that: to them, an
    unknown name is an input/output error."""
    return bool(_addresses(urlsplit(address).hostname))


def is_host(name: str, other: str) -> bool:
    """Returns whether `other` is the host `name` itself, or one of its IP addresses."""
    return name == other or other in _addresses(name)


def _addresses(name: str | None) -> set[str]:
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(name, None)}
    except (OSError, UnicodeError):
        return set()
