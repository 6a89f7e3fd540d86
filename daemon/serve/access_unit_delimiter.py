"""Moves access unit delimiters so that players see the end of a frame at once and save one frame of delay."""

from __future__ import annotations

_START = b"\x00\x00\x01"
_DELIMITER_TYPE = 9
_DELIMITER = b"\x00\x00\x00\x01\x09\xf0"


def move_aud_to_end(access_unit: bytes) -> bytes:
    """Moves the access unit delimiter (ITU-T H.264, 7.3.2.4) of Annex B H.264 from the start to the end.

    Parsers such as FFmpeg's consider a frame complete only when the next one begins: one frame interval late, 40 ms at
    25 fps. The next frame begins with its delimiter, so that is sent with this frame. The byte stream is the same
    except for its first and last six bytes. FFmpeg reads timestamps one frame earlier, and reports the last delimiter
    of a stream, which no frame follows, as invalid data.
    """
    first = access_unit.find(_START)
    if first >= 0 and len(access_unit) > first + 3 and access_unit[first + 3] & 0x1F == _DELIMITER_TYPE:
        following = access_unit.find(_START, first + 4)
        if following < 0:
            return access_unit
        access_unit = b"\x00" + access_unit[following:]
    return access_unit + _DELIMITER
