"""Names of hosts, as the system resolves them. Each call may take as long as its name servers do."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit


def resolves(address: str) -> bool:
    """Whether the name of the address's host is known. FFmpeg and GStreamer do not say it: to them, an unknown name is
    an input/output error."""
    return bool(_addresses(urlsplit(address).hostname))


def is_host(name: str, other: str) -> bool:
    """Whether `other` is the host `name` itself, or one of its IP addresses."""
    return name == other or other in _addresses(name)


def _addresses(name: str | None) -> set[str]:
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(name, None)}
    except (OSError, UnicodeError):
        return set()
