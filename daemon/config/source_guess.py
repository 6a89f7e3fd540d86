"""Finds sources that were meant as addresses and are read as files, because no scheme comes before them."""

from __future__ import annotations

import re
from pathlib import PurePath

from sightd.daemon.schemes import ADDRESSES
from sightd.engines.suggest import closest

_SLIPPED = re.compile(r"([A-Za-z]{4,12})(:/?|//)(?!/)")
_HOST = re.compile(
    r"([^/@\s]+@)"  # user and password
    r"|(\d{1,3}\.){3}\d{1,3}([:/]|$)"
    r"|[A-Za-z0-9.-]+:\d{2,5}(/|$)"
    r"|([A-Za-z0-9-]+\.)+[A-Za-z]{2,}/"
    r"|localhost(/|$)"
)
_FILES = {".mp4", ".mkv", ".avi", ".mov", ".webm", ".ts", ".m4v", ".mpg", ".mpeg", ".h264", ".flv", ".mjpeg"}


def address_meant(source: str) -> str | None:
    """Returns the form of address that was probably meant by a source that is not a file: "rtsp://HOST/PATH".

    Returns None if it looks like a file. Nothing of the source itself is quoted: it may contain a password.
    """
    if source.strip().rstrip(":/").lower() == "testpattern":
        return "testpattern://"
    if (slipped := _SLIPPED.match(source)) and (schemes := closest(slipped[1], ADDRESSES)):
        return "testpattern://" if schemes[0] == "testpattern" else f"{schemes[0]}://HOST/PATH"
    looks_like_file = PurePath(source).suffix.lower() in _FILES or source.startswith(("/", ".", "~"))
    return "rtsp://HOST/PATH" if not looks_like_file and _HOST.match(source) else None
