"""URL schemes of camera sources, in lower case."""

from __future__ import annotations

RTSP = ("rtsp", "rtsps")
HTTP = ("http", "https")
NETWORK = (*RTSP, *HTTP)
"""Followed by a host, and perhaps by user and password."""
ADDRESSES = (*NETWORK, "testpattern")
SOURCES = (*ADDRESSES, "file")
SUPPORTED = f"{', '.join(f'{scheme}://' for scheme in ADDRESSES)}, a file's path or /dev/videoN"
"""For error messages: "write one of " and this."""
