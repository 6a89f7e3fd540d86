"""Numbers on the command line that must be within bounds; a usage error says within which."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TypeVar

Number = TypeVar("Number", int, float)


def number(kind: Callable[[str], Number], fits: Callable[[Number], bool], wanted: str) -> Callable[[str], Number]:
    """A `type` of argparse: `wanted` says in words what it takes."""

    def read(text: str) -> Number:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r}: expected {wanted}") from None
        if not fits(value):
            raise argparse.ArgumentTypeError(f"{text}: expected {wanted}")
        return value

    return read
