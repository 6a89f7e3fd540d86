"""Image file metadata: EXIF orientation, and removal of compressed PNG text that could expand without limit."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from sightd.plugins.jpeg import exif_of, is_jpeg

UPRIGHT = 1
_ORIENTATION = 0x0112
_SHORT = 3
_MOST_CHUNKS = 100_000
_MOST_ENTRIES = 1000
_COMPRESSED = frozenset({b"zTXt", b"iTXt", b"iCCP"})
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
