"""Parses image files without decoding them: scans of a JPEG, EXIF orientation, metadata."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

MOST_SCANS = 100
"""Most scans allowed in one image; progressive JPEGs have about ten. Decoding each scan passes over the whole image,
and a scan can be as short as a dozen bytes: without a limit, a 1 MB file could take hours to decode."""
SCAN = b"\xff\xda"
"""The marker that starts a scan."""

_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_NEXT_MARKER = re.compile(rb"\xff+[^\x00\xff]")
_LEAST_MARKER, _FIRST_RESTART, _LAST_RESTART = 0xC0, 0xD0, 0xD7
_MOST_SEGMENTS = 2000
"""Most segments in one image: 100 scans with their tables, and an embedded file of 64 MiB."""
_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_QUANTISATION, _HUFFMAN, _RESTART_INTERVAL = 0xDB, 0xC4, 0xDD
_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
_SKIPPED = frozenset({*range(0xE0, 0xF0), 0xFE})
"""Application data and comments; decoders skip them by length, whatever they contain."""
_EXIF, _EXIF_NAME = 0xE1, b"Exif\0\0"
_JFIF, _ADOBE = 0xE0, 0xEE


@dataclass(frozen=True, slots=True)
class _Segment:
    """A marker with the payload after its length field. `start` is the marker's offset; `end` is where the search for
    the next marker continues, for a scan after its entropy-coded data. A marker of 0 stands for bytes that are not a
    valid segment."""

    marker: int
    content: bytes
    start: int
    end: int


def is_jpeg(data: bytes | bytearray) -> bool:
    return data[:3] == b"\xff\xd8\xff"


def scans(data: bytes | bytearray, *, reads_on: bool = False) -> int:
    """Returns an upper bound for the number of scans that a decoder processes. `reads_on`: the decoder does not stop at
    the end of the image; FFmpeg, for one, looks for a second field.

    Scan markers inside thumbnails or other application data do not count, nor does trailing data unless `reads_on` is
    set. Decoders disagree on malformed files, so from the first malformed segment on, every scan marker counts.
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
    """Returns the EXIF data of a JPEG in TIFF format; empty if there is none."""
    for segment in _segments(data):
        if segment.marker == _EXIF and segment.content.startswith(_EXIF_NAME):
            return segment.content[len(_EXIF_NAME) :]
        if segment.marker in (0, _SCAN, _END):
            break
    return b""


def _segments(data: bytes | bytearray) -> Iterator[_Segment]:
    """Yields the segments after the start-of-image marker. If there are too many, the last one has marker 0."""
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
    """Whether every decoder agrees on where this segment ends."""
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


UPRIGHT = 1
_ORIENTATION = 0x0112
_SHORT = 3
_MOST_CHUNKS = 100_000
_MOST_ENTRIES = 1000
_COMPRESSED = frozenset({b"zTXt", b"iTXt", b"iCCP"})
_OF_PIXELS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"IDAT", b"IEND"})
_PNG = b"\x89PNG\r\n\x1a\n"


def orientation_of(data: bytes) -> int:
    """Returns the EXIF orientation (1 to 8) of a JPEG, PNG or WebP; 1 if it is missing or invalid."""
    if is_jpeg(data):
        return _orientation(exif_of(data))
    if data.startswith(_PNG):
        return _orientation(next((content for kind, content in _png_chunks(data) if kind == b"eXIf"), b""))
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _orientation(next((content for kind, content in _riff_chunks(data) if kind == b"EXIF"), b""))
    return UPRIGHT


def without_compressed_text(data: bytes) -> bytes:
    """Returns a PNG without its compressed text and colour profile chunks, or the same object if it has none. FFmpeg
    inflates them without a limit, up to a thousandfold, and the decoded image does not depend on them."""
    if not data.startswith(_PNG) or not any(kind in data for kind in _COMPRESSED):
        return data
    kept, at = bytearray(_PNG), len(_PNG)
    for kind, content in _png_chunks(data):
        end = at + 12 + len(content)
        if kind not in _COMPRESSED:
            kept += data[at:end]
        at = end
    return bytes(kept)


def without_metadata(data: bytes) -> bytes | None:
    """Returns a JPEG or PNG with only what its pixels need: without EXIF, comments, thumbnails, colour profiles and
    anything after its end. None for other formats, and for files on whose end decoders disagree."""
    if is_jpeg(data):
        return _bare_jpeg(data)
    return _bare_png(data) if data.startswith(_PNG) else None


def _bare_jpeg(data: bytes) -> bytes | None:
    kept, has_frame = bytearray(data[:2]), False
    for segment in _segments(data):
        if segment.marker == _END and has_frame:
            return bytes(kept + data[segment.start : segment.end])
        if not _well_formed(segment):
            return None
        has_frame = has_frame or segment.marker in _FRAMES
        if segment.marker not in _SKIPPED or _says_how_colours_are_stored(segment):
            kept += data[segment.start : segment.end]
    return None


def _says_how_colours_are_stored(segment: _Segment) -> bool:
    """Whether it is a JFIF header without a thumbnail, or an Adobe header: decoders derive the colour space from
    them."""
    jfif = segment.marker == _JFIF and segment.content.startswith(b"JFIF\0") and len(segment.content) == 14
    adobe = segment.marker == _ADOBE and segment.content.startswith(b"Adobe") and len(segment.content) == 12
    return jfif or adobe


def _bare_png(data: bytes) -> bytes | None:
    kept, at = bytearray(_PNG), len(_PNG)
    for kind, content in _png_chunks(data):
        end = at + 12 + len(content)
        if kind in _OF_PIXELS:
            kept += data[at:end]
        if kind == b"IEND":
            return bytes(kept)
        at = end
    return None


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields type and content of each PNG chunk; stops at a truncated chunk or after `_MOST_CHUNKS`."""
    at = len(_PNG)
    for _ in range(_MOST_CHUNKS):
        length = int.from_bytes(data[at : at + 4], "big")
        if at + 12 + length > len(data):
            return
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        at += 12 + length


def _riff_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    for _ in range(_MOST_CHUNKS):
        if at + 8 > len(data):
            return
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _orientation(tiff: bytes) -> int:
    """Returns the orientation from EXIF data, with or without the "Exif" prefix that JPEG adds."""
    tiff = tiff.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return UPRIGHT
    try:
        (first,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, first)
        for entry in range(min(count, _MOST_ENTRIES)):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", tiff, first + 2 + 12 * entry)
            if tag == _ORIENTATION and kind == _SHORT:
                return value if UPRIGHT <= value <= 8 else UPRIGHT
    except struct.error:
        pass
    return UPRIGHT
