"""What an ONNX file says of itself, without running it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from engines.errors import ModelFileError

Shape = tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Ends:
    """Inputs (without constants) and outputs of an ONNX file by name; None stands for a dynamic axis."""

    inputs: Mapping[str, Shape]
    outputs: Mapping[str, Shape]


def read_ends(path: Path) -> Ends:
    """ModelFileError where the file cannot be read, is no ONNX file, or was cut short."""
    try:
        graph = onnx.load(path, load_external_data=False).graph
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}") from error
    except DecodeError as error:
        raise ModelFileError(f"{path} is not a complete ONNX file: {error}") from error
    constants = {constant.name for constant in graph.initializer}
    inputs = {value.name: _shape(value) for value in graph.input if value.name not in constants}
    if not inputs:
        raise ModelFileError(f"{path} is not an ONNX file of a network: it has no input")
    return Ends(inputs, {value.name: _shape(value) for value in graph.output})


def text(shapes: Mapping[str, Shape]) -> str:
    """Names and shapes for people: "images [?, 3, 416, 416]"."""
    parts = (f"{name} [{', '.join('?' if a is None else str(a) for a in shape)}]" for name, shape in shapes.items())
    return ", ".join(parts) or "nothing"


def _shape(value: onnx.ValueInfoProto) -> Shape:
    return tuple(axis.dim_value if axis.dim_value > 0 else None for axis in value.type.tensor_type.shape.dim)
