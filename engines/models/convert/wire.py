"""Reads the wire format of Protocol Buffers, as far as needed here (protobuf.dev, "Encoding")."""

from __future__ import annotations

from collections.abc import Iterator

from sightd.engines.errors import ConversionError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

Value = int | memoryview


def fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Yields field numbers and values in order: varints as unsigned int, everything else as a view of its bytes. Raises
    ConversionError if the message is malformed or truncated."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if kind == _BYTES:
            length, at = _varint(message, at)
        elif kind in (_FIXED32, _FIXED64):
            length = 4 if kind == _FIXED32 else 8
        else:
            raise ConversionError(f"not a protocol buffer: wire type {kind} in field {number}")
        if at + length > len(message):
            raise ConversionError(f"not a protocol buffer, or truncated: field {number} extends past the end")
        yield number, message[at : at + length]
        at += length


def integers(value: Value) -> list[int]:
    """Returns the signed numbers of a repeated int field, packed or not."""
    if isinstance(value, int):
        return [signed(value)]
    numbers = []
    at = 0
    while at < len(value):
        number, at = _varint(value, at)
        numbers.append(signed(number))
    return numbers


def signed(value: int) -> int:
    """Converts a varint to int64 (two's complement in 64 bits)."""
    return value - (1 << 64) if value >> 63 else value


def view(value: Value) -> memoryview:
    """Returns the value of a field that must be a string, bytes or message. Raises ConversionError if it is a
    number."""
    if isinstance(value, int):
        raise ConversionError("not the expected protocol buffer: found a number instead of a message")
    return value


def text(value: Value) -> str:
    return str(view(value), "utf-8")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    result = shift = 0
    while at < len(message) and shift < 70:
        byte = message[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, at
        shift += 7
    raise ConversionError("not a protocol buffer, or truncated: a number does not end")
