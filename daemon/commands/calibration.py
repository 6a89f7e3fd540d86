"""Argument types shared by the commands that create int8 models."""

from __future__ import annotations

import argparse

_LEAST = 5
"""Minimum number of images: every fifth is held out for verification."""


def calibration_pictures(text: str) -> int:
    """Parses the number of images. Raises ArgumentTypeError if none would be left for verification."""
    number = int(text)
    if number < _LEAST:
        raise argparse.ArgumentTypeError(f"at least {_LEAST} images are required")
    return number
