"""Argument types that the commands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias, TypeVar

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


_LEAST = 5
"""Minimum number of images: every fifth is held out for verification."""


def calibration_pictures(text: str) -> int:
    """Parses the number of images. Raises ArgumentTypeError if none would be left for verification."""
    number = int(text)
    if number < _LEAST:
        raise argparse.ArgumentTypeError(f"at least {_LEAST} images are required")
    return number
