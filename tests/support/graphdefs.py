"""Frozen TensorFlow graphs, written byte by byte in the Protocol Buffers wire format, for tests of the importer."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Attribute = str | Sequence[int] | NDArray[Any]

_KINDS = {np.dtype(np.float32): 1, np.dtype(np.int32): 3}


def graph(*nodes: bytes) -> bytes:
    return b"".join(_field(1, node) for node in nodes)


def node(name: str, op: str, inputs: Sequence[str] = (), attributes: Mapping[str, Attribute] | None = None) -> bytes:
    entries = b"".join(
        _field(5, _field(1, key.encode()) + _field(2, _attribute(value))) for key, value in (attributes or {}).items()
    )
    return _field(1, name.encode()) + _field(2, op.encode()) + b"".join(_field(3, i.encode()) for i in inputs) + entries


def constant(name: str, value: NDArray[Any]) -> bytes:
    return node(name, "Const", attributes={"value": value})


def tensor(value: NDArray[Any]) -> bytes:
    """Returns a TensorProto with its values as raw bytes."""
    shape = b"".join(_field(2, _number(1, size)) for size in value.shape)
    return _number(1, _KINDS[value.dtype]) + _field(2, shape) + _field(4, value.tobytes())


def repeated_float(value: float, shape: Sequence[int]) -> bytes:
    """Returns a TensorProto that stores one value for all its elements."""
    sizes = b"".join(_field(2, _number(1, size)) for size in shape)
    return _number(1, 1) + _field(2, sizes) + _field(5, struct.pack("<f", value))


def raw_constant(name: str, message: bytes) -> bytes:
    entry = _field(1, b"value") + _field(2, _field(8, message))
    return _field(1, name.encode()) + _field(2, b"Const") + _field(5, entry)


def _attribute(value: Attribute) -> bytes:
    if isinstance(value, str):
        return _field(2, value.encode())
    if isinstance(value, np.ndarray):
        return _field(8, tensor(value))
    return _field(1, _field(3, b"".join(_varint(i) for i in value)))


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
