"""Reads frozen TensorFlow graphs without TensorFlow: nodes, their inputs, attributes and constants.

Reads the wire format of Protocol Buffers (protobuf.dev, "Encoding"), and only what the inference part of a model
contains (graph.proto, node_def.proto, attr_value.proto and tensor.proto of the TensorFlow project).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightd.engines.errors import ConversionError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

Value = int | memoryview


def _fields(message: memoryview) -> Iterator[tuple[int, Value]]:
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


def _integers(value: Value) -> list[int]:
    """Returns the signed numbers of a repeated int field, packed or not."""
    if isinstance(value, int):
        return [_signed(value)]
    numbers = []
    at = 0
    while at < len(value):
        number, at = _varint(value, at)
        numbers.append(_signed(number))
    return numbers


def _signed(value: int) -> int:
    """Converts a varint to int64 (two's complement in 64 bits)."""
    return value - (1 << 64) if value >> 63 else value


def _view(value: Value) -> memoryview:
    """Returns the value of a field that must be a string, bytes or message. Raises ConversionError if it is a
    number."""
    if isinstance(value, int):
        raise ConversionError("not the expected protocol buffer: found a number instead of a message")
    return value


def _text(value: Value) -> str:
    return str(_view(value), "utf-8")


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


_DTYPES: Mapping[int, type[np.generic]] = {1: np.float32, 2: np.float64, 3: np.int32, 9: np.int64, 10: np.bool_}
_MOST_VALUES = 1 << 28
_FLOAT_VALUES, _INT_VALUES = 5, (7, 10, 11)

Attribute = str | tuple[int, ...] | NDArray[Any]


@dataclass(frozen=True, slots=True)
class Node:
    """One operation. `inputs` are node names without output index; control inputs are omitted.

    `attributes` contains strings ("SAME"), lists of integers (strides) and, for a constant, its array as "value".
    """

    name: str
    op: str
    inputs: tuple[str, ...] = ()
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


def read(path: Path) -> dict[str, Node]:
    """Returns all nodes of a frozen graph by name. Raises ConversionError if the file is not a frozen graph."""
    message = memoryview(path.read_bytes())
    try:
        nodes = [_node(_view(value)) for number, value in _fields(message) if number == 1]
    except (ConversionError, LookupError, ValueError, OverflowError) as error:
        raise ConversionError(f"{path.name} is not a complete TensorFlow graph: {error}") from error
    if not nodes:
        raise ConversionError(f"{path.name} is not a TensorFlow graph: it contains no nodes")
    return {node.name: node for node in nodes}


def _node(message: memoryview) -> Node:
    name = op = ""
    inputs = []
    attributes: dict[str, Attribute] = {}
    for number, value in _fields(message):
        if number == 1:
            name = _text(value)
        elif number == 2:
            op = _text(value)
        elif number == 3:
            inputs.append(_text(value))
        elif number == 5:
            entry = dict(_fields(_view(value)))
            attribute = _attribute(_view(entry.get(2, memoryview(b""))))
            if attribute is not None:
                attributes[_text(entry[1])] = attribute
    return Node(name, op, tuple(i.partition(":")[0] for i in inputs if not i.startswith("^")), attributes)


def _attribute(message: memoryview) -> Attribute | None:
    """Returns a string, list of integers or tensor, or None for other kinds, which inference does not need."""
    for number, value in _fields(message):
        if number == 1:
            return tuple(i for n, v in _fields(_view(value)) if n == 3 for i in _integers(v))
        if number == 2:
            return str(_view(value), "utf-8", "replace")
        if number == 8:
            return _tensor(_view(value))
    return None


def _tensor(message: memoryview) -> NDArray[Any] | None:
    """Returns a constant's array, or None if its elements are not numbers (strings)."""
    dtype: type[np.generic] | None = np.float32
    shape: tuple[int, ...] = ()
    values: list[NDArray[Any]] = []
    for number, value in _fields(message):
        if number == 1 and isinstance(value, int):
            dtype = _DTYPES.get(value)
        elif number == 2:
            shape = _shape(_view(value))
        elif dtype is None:
            return None
        elif number == 4:
            values.append(np.frombuffer(_view(value), dtype))
        elif number == _FLOAT_VALUES:
            values.append(np.frombuffer(_view(value), np.float32))
        elif number in _INT_VALUES:
            values.append(np.array(_integers(value), dtype))
    return None if dtype is None else _filled(values, shape, dtype)


def _filled(values: list[NDArray[Any]], shape: tuple[int, ...], dtype: type[np.generic]) -> NDArray[Any]:
    """Returns the array in its shape. If there are fewer values than elements, the last one is repeated
    (tensor.proto)."""
    flat = np.concatenate(values) if values else np.zeros(min(prod(shape), 1), dtype)
    missing = prod(shape) - flat.size
    if missing < 0 or prod(shape) > _MOST_VALUES:
        raise ConversionError(f"a constant of shape {shape} contains {flat.size} values")
    return (np.concatenate([flat, np.repeat(flat[-1:], missing)]) if missing else flat).reshape(shape)


def _shape(message: memoryview) -> tuple[int, ...]:
    dimensions = (_view(value) for number, value in _fields(message) if number == 2)
    return tuple(next((_integers(v)[0] for n, v in _fields(d) if n == 1), 0) for d in dimensions)
