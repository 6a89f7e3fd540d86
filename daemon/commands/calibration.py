"""The options of commands that make int8 networks."""

from __future__ import annotations

import argparse

_LEAST = 5
"""Every fifth is kept back to check by."""


def calibration_pictures(text: str) -> int:
    """How many pictures to take; a usage error where that leaves none to check by."""
    number = int(text)
    if number < _LEAST:
        raise argparse.ArgumentTypeError(f"{_LEAST} pictures are the least")
    return number
