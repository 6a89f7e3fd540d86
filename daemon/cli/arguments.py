"""Argument types that the commands share."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from sightd.engines.files import expanded
from sightd.engines.model import Model
from sightd.engines.models.catalog import Catalog

if TYPE_CHECKING:
    SubParsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
else:
    SubParsers = object


Number = TypeVar("Number", int, float)


def number(kind: Callable[[str], Number], fits: Callable[[Number], bool], wanted: str) -> Callable[[str], Number]:
    """Returns an argparse `type`; `wanted` describes the accepted values."""

    def read(text: str) -> Number:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r}: expected {wanted}") from None
        if not fits(value):
            raise argparse.ArgumentTypeError(f"{text}: expected {wanted}")
        return value

    return read


def moment(text: str) -> float:
    """Parses how long ago it was, or a date and time, of the local time zone unless it names another. Returns seconds
    since the epoch."""
    from sightd.plugins.api.units import parse_duration  # takes a moment; help does not need it

    try:
        return time.time() - parse_duration(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            f"{text!r}: write how long ago, such as 30m, 2h or 7d, or a date and time, such as 2026-03-01T12:00"
        ) from None


def model_named(name: str, catalog: Catalog) -> Model:
    """Returns a model of the catalogue, or a detector's ONNX file if `name` is the path of one.

    Raises EngineError if there is none of that name, or if the file is not recognised or needs too much memory or time.
    """
    from sightd.engines.models.custom_file import is_file_name, model_from_file  # libraries that few commands need
    from sightd.engines.sessions.onnxruntime.trial import require_bounded

    if not is_file_name(name):
        return catalog.get(name)

    model = model_from_file(expanded(name))
    require_bounded(model)
    return model


_LEAST = 5
"""Minimum number of images: every fifth is held out for verification."""


def calibration_pictures(text: str) -> int:
    """Parses the number of images. Raises ArgumentTypeError if none would be left for verification."""
    number = int(text)
    if number < _LEAST:
        raise argparse.ArgumentTypeError(f"at least {_LEAST} images are required")
    return number
