"""What the markers of a JPEG say, without decoding it: how many scans it has, and its EXIF data."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

MOST_SCANS = 100
"""Of one picture; progressive JPEGs have about ten. Decoding a scan passes over the whole picture, and a scan may
take a dozen bytes of the file: without a limit a file of 1 MB decodes for hours."""
SCAN = b"\xff\xda"
"""The marker at which a scan begins."""

_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_NEXT_MARKER = re.compile(rb"\xff+[^\x00\xff]")
_LEAST_MARKER, _FIRST_RESTART, _LAST_RESTART = 0xC0, 0xD0, 0xD7
_MOST_SEGMENTS = 2000
"""Of a picture: 100 scans with their tables, and an embedded file of 64 MiB."""
_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_QUANTISATION, _HUFFMAN, _RESTART_INTERVAL = 0xDB, 0xC4, 0xDD
_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
_SKIPPED = frozenset({*range(0xE0, 0xF0), 0xFE})
"""Application data and comments, whatever they hold: decoders pass over them by their length."""
_EXIF, _EXIF_NAME = 0xE1, b"Exif\0\0"


@dataclass(frozen=True, slots=True)
class _Segment:
    """A marker with the bytes behind its length, from `start` to where the next one is looked for; a scan with what it
    encodes. A marker of 0 stands for bytes that are none."""

    marker: int
    content: bytes
    start: int
    end: int


def is_jpeg(data: bytes | bytearray) -> bool:
    return data[:3] == b"\xff\xd8\xff"


def scans(data: bytes | bytearray, *, reads_on: bool = False) -> int:
    """How many scans a decoder passes over at most. `reads_on`: it does not stop at the picture's end, as FFmpeg, which
    looks for a second field.

    What looks like a scan in thumbnails or other application data does not count, nor does trailing data unless the
    decoder reads on. Decoders disagree on files that are not built as the standard says: whatever looks like a scan
    counts from there on.
    """
    if not is_jpeg(data):
        return data.count(SCAN)
    found, has_frame, end = 0, False, len(data)
    for segment in _segments(data):
        if segment.marker == _END and has_frame:
            end = segment.end
            break
        if not _well_formed(segment):
            return found + data.count(SCAN, segment.start)
        found += segment.marker == _SCAN
        has_frame = has_frame or segment.marker in _FRAMES
    return found + (data.count(SCAN, end) if reads_on else 0)


def exif_of(data: bytes | bytearray) -> bytes:
    """The EXIF data of a JPEG, as TIFF; empty if there are none."""
    for segment in _segments(data):
        if segment.marker == _EXIF and segment.content.startswith(_EXIF_NAME):
            return segment.content[len(_EXIF_NAME) :]
        if segment.marker in (0, _SCAN, _END):
            break
    return b""


def _segments(data: bytes | bytearray) -> Iterator[_Segment]:
    """Those behind the start of a picture; the last of too many is one of bytes that are none."""
    at = 2
    for _ in range(_MOST_SEGMENTS):
        if (found := _NEXT_MARKER.search(data, at)) is None:
            return
        start, at, marker = found.start(), found.end(), data[found.end() - 1]
        if _FIRST_RESTART <= marker <= _LAST_RESTART:
            continue
        length = int.from_bytes(data[at : at + 2], "big")
        if marker in (_START, _END):
            yield _Segment(marker, b"", start, at)
        elif marker < _LEAST_MARKER or length < 2 or at + length > len(data):
            yield _Segment(0, b"", start, at)
        else:
            content, at = bytes(data[at + 2 : at + length]), at + length
            if marker == _SCAN:
                end = _MARKER.search(data, at)
                at = end.start() if end else len(data)
            yield _Segment(marker, content, start, at)
    yield _Segment(0, b"", at, at)


def _well_formed(segment: _Segment) -> bool:
    """Whether every decoder reads this segment to the same end."""
    content = segment.content
    if segment.marker in _SKIPPED:
        return True
    if segment.marker == _SCAN:
        return len(content) >= 4 and len(content) == 4 + 2 * content[0]
    if segment.marker in _FRAMES:
        return len(content) >= 6 and len(content) == 6 + 3 * content[5]
    if segment.marker == _RESTART_INTERVAL:
        return len(content) == 2
    if segment.marker == _QUANTISATION:
        return _ends_with_a_table(content, lambda at: 129 if content[at] >> 4 else 65)
    if segment.marker == _HUFFMAN:
        return _ends_with_a_table(content, lambda at: 17 + sum(content[at + 1 : at + 17]))
    return False


def _ends_with_a_table(content: bytes, length: Callable[[int], int]) -> bool:
    at = 0
    while at < len(content):
        at += length(at)
    return at == len(content)
