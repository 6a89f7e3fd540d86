"""Reads frozen TensorFlow graphs without TensorFlow: nodes, their inputs, attributes and constants.

Reads only what the inference part of a model contains (graph.proto, node_def.proto, attr_value.proto and tensor.proto
of the TensorFlow project).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightd.engines.errors import ConversionError
from sightd.engines.models.convert import wire

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
        nodes = [_node(wire.view(value)) for number, value in wire.fields(message) if number == 1]
    except (ConversionError, LookupError, ValueError, OverflowError) as error:
        raise ConversionError(f"{path.name} is not a complete TensorFlow graph: {error}") from error
    if not nodes:
        raise ConversionError(f"{path.name} is not a TensorFlow graph: it contains no nodes")
    return {node.name: node for node in nodes}


def _node(message: memoryview) -> Node:
    name = op = ""
    inputs = []
    attributes: dict[str, Attribute] = {}
    for number, value in wire.fields(message):
        if number == 1:
            name = wire.text(value)
        elif number == 2:
            op = wire.text(value)
        elif number == 3:
            inputs.append(wire.text(value))
        elif number == 5:
            entry = dict(wire.fields(wire.view(value)))
            attribute = _attribute(wire.view(entry.get(2, memoryview(b""))))
            if attribute is not None:
                attributes[wire.text(entry[1])] = attribute
    return Node(name, op, tuple(i.partition(":")[0] for i in inputs if not i.startswith("^")), attributes)


def _attribute(message: memoryview) -> Attribute | None:
    """Returns a string, list of integers or tensor, or None for other kinds, which inference does not need."""
    for number, value in wire.fields(message):
        if number == 1:
            return tuple(i for n, v in wire.fields(wire.view(value)) if n == 3 for i in wire.integers(v))
        if number == 2:
            return str(wire.view(value), "utf-8", "replace")
        if number == 8:
            return _tensor(wire.view(value))
    return None


def _tensor(message: memoryview) -> NDArray[Any] | None:
    """Returns a constant's array, or None if its elements are not numbers (strings)."""
    dtype: type[np.generic] | None = np.float32
    shape: tuple[int, ...] = ()
    values: list[NDArray[Any]] = []
    for number, value in wire.fields(message):
        if number == 1 and isinstance(value, int):
            dtype = _DTYPES.get(value)
        elif number == 2:
            shape = _shape(wire.view(value))
        elif dtype is None:
            return None
        elif number == 4:
            values.append(np.frombuffer(wire.view(value), dtype))
        elif number == _FLOAT_VALUES:
            values.append(np.frombuffer(wire.view(value), np.float32))
        elif number in _INT_VALUES:
            values.append(np.array(wire.integers(value), dtype))
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
    dimensions = (wire.view(value) for number, value in wire.fields(message) if number == 2)
    return tuple(next((wire.integers(v)[0] for n, v in wire.fields(d) if n == 1), 0) for d in dimensions)
