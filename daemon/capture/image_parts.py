"""Finds the images in an HTTP camera's response: JPEGs one after another, whatever separates them. Pure.

Cameras disagree on boundaries, headers and line endings. JPEG itself marks where an image begins and ends, so none of
them matters; only a length stated in a part's header is used, if it is within the limit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MOST_PICTURE = 32 * 1024 * 1024
"""Maximum bytes of an image: twice what a camera of 36 megapixels sends."""
MOST_BETWEEN = 64 * 1024
"""Maximum bytes between two images."""

_BEGIN = re.compile(rb"\xff\xd8\xff")
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_LENGTH = re.compile(rb"content-length[ \t]*:[ \t]*(\d{1,18})[ \t]*\r?\n", re.IGNORECASE)
_TIME = re.compile(rb"x-timestamp[ \t]*:[ \t]*(\d{1,12}(?:\.\d{1,9})?)[ \t]*\r?\n", re.IGNORECASE)
_HEADER_END = re.compile(rb"\n\r?\n\Z")
_NEW, _END, _SCAN = 0xD8, 0xD9, 0xDA
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})
"""Markers without a length field."""


class TooLargeError(Exception):
    """An image, or the data between two images, is larger than any camera's. The message says which."""


@dataclass(frozen=True, slots=True)
class Part:
    """An image as it was sent, possibly truncated. `time` is the camera's own timestamp in s, if it states one."""

    data: bytes
    time: float | None = None


class PartReader:
    """Incremental parser that takes bytes and returns whole parts. Holds at most `MOST_PICTURE` bytes plus one read."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._begun = False
        self._at = 0
        """How far the buffered image has been searched for its end."""
        self._in_scan = False
        self._length: int | None = None
        self._time: float | None = None

    def feed(self, data: bytes) -> list[Part]:
        """Returns the parts that end within `data`. Raises TooLargeError, which must end the stream."""
        self._buffer += data
        parts: list[Part] = []
        while self._begun or self._begin():
            end = self._end()
            if end is None:
                break
            parts.append(self._cut(end))
        return parts

    def finish(self) -> list[Part]:
        """Returns the part that the end of the stream cut off, if any."""
        return [self._cut(len(self._buffer))] if self._begun else []

    def _begin(self) -> bool:
        """Looks for the first bytes of an image and reads the header before them. Returns whether it found any."""
        found = _BEGIN.search(self._buffer)
        if found is None:
            if len(self._buffer) > MOST_BETWEEN:
                raise TooLargeError(f"more than {MOST_BETWEEN // 1024} KiB without an image")
            return False
        head = bytes(self._buffer[: found.start()])
        lengths, times = _LENGTH.findall(head), _TIME.findall(head)
        self._length = int(lengths[-1]) if lengths and _HEADER_END.search(head) else None
        self._time = float(times[-1]) if times else None
        if self._length is not None and self._length > MOST_PICTURE:
            raise TooLargeError(f"an image of {self._length / 1000000.0:.0f} MB is announced")
        del self._buffer[: found.start()]
        self._begun, self._at, self._in_scan = True, 2, False
        return True

    def _end(self) -> int | None:
        """Returns the offset at which the image ends; None if that has not arrived yet."""
        if self._length is not None:
            return self._length if len(self._buffer) >= self._length else None
        end = self._searched()
        if end is None and len(self._buffer) > MOST_PICTURE:
            raise TooLargeError(f"an image is larger than {MOST_PICTURE // 2**20} MiB")
        return end

    def _searched(self) -> int | None:
        """Walks from marker to marker, over the header's segments and through scans, as far as there is data. Returns
        as `_end`."""
        buffer = self._buffer
        while True:
            if self._in_scan:
                found = _MARKER.search(buffer, self._at)
                if found is None:
                    self._at = max(self._at, len(buffer) - 1)
                    return None
                self._at, self._in_scan = found.start(), False
            if self._at + 4 > len(buffer):
                return self._at + 2 if buffer[self._at :] == b"\xff\xd9" else None
            if buffer[self._at] != 0xFF:
                return self._at  # no marker: the image was truncated within its header
            marker = buffer[self._at + 1]
            if marker in (_NEW, _END):
                return self._at + (2 if marker == _END else 0)
            length = 0 if marker in _ALONE else int.from_bytes(buffer[self._at + 2 : self._at + 4], "big")
            self._at, self._in_scan = self._at + 2 + length, marker == _SCAN

    def _cut(self, end: int) -> Part:
        part = Part(bytes(self._buffer[:end]), self._time)
        del self._buffer[:end]
        self._begun = False
        return part
