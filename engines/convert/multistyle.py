"""Rebuilds the 26-style model from its weights, for batches of images of any size."""

from __future__ import annotations

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import numpy_helper

from sightd.engines.convert.style_network import DOWN, RESIDUAL, UP, StyleLayer, write
from sightd.engines.errors import ConversionError


def convert(source: Path, target: Path) -> None:
    """Converts the published file to the format of `write`. Raises ConversionError if the file contains another
    model."""
    try:
        weights = {one.name: numpy_helper.to_array(one) for one in onnx.load(str(source)).graph.initializer}
    except (DecodeError, OSError) as error:
        raise ConversionError(f"{source.name} cannot be read as ONNX: {error}") from error
    names = [f"contract.{n}" for n in range(DOWN)]
    names += [f"res.{n}.{half}" for n in range(RESIDUAL) for half in (0, 1)]
    names += [f"expand.{n}" for n in range(UP)]
    try:
        layers = [
            StyleLayer(weights[f"{name}.w"], weights[f"{name}.norm.gamma"], weights[f"{name}.norm.beta"])
            for name in names
        ]
    except KeyError as error:
        raise ConversionError(f"{source.name} is not the 26-style model: it has no weights {error}") from error
    write(layers, target, "multistyle26, converted by sightd")
