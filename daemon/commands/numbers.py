"""Bounded numbers on the command line; a usage error states the bounds."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TypeVar

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
