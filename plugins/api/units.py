"""Parses human-readable durations, sizes and devices: "2s", "250ms", "64MiB", "cuda:0"."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, StringConstraints, WithJsonSchema

_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_QUANTITY = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*")


def parse_duration(value: object) -> float:
    """Converts "250ms", "2s", "1.5m", "1h" or a bare zero to seconds. Raises ValueError, which shows the format."""
    return _quantity(value, _SECONDS, 'a duration with its unit, such as "250ms", "2s", "5m" or "1h"')


def parse_span(value: object) -> float:
    """Like `parse_duration`, but the result must be greater than zero."""
    seconds = parse_duration(value)
    if seconds <= 0:
        raise ValueError("must be greater than zero")
    return seconds


def parse_size(value: object) -> int:
    """Converts "64MiB", "2GB" or a bare zero to bytes. Raises ValueError, which shows the format."""
    return int(_quantity(value, _BYTES, 'a size with its unit, such as "512KiB", "64MiB" or "2GB"'))


def _quantity(value: object, units: dict[str, float] | dict[str, int], wanted: str) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value == 0:
        return 0.0
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match is None or match[2] not in units:
        raise ValueError(f"write {wanted}")
    return float(match[1]) * units[match[2]]


_DURATION_SCHEMA = {
    "anyOf": [{"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*(us|ms|s|m|min|h|d)\s*$"}, {"const": 0}],
    "examples": ["250ms", "2s", "5m"],
}
_SPAN_SCHEMA = {
    "type": "string",
    "pattern": r"^\s*(?=[0.]*[1-9])\d+(\.\d+)?\s*(us|ms|s|m|min|h|d)\s*$",
    "examples": ["250ms", "2s", "5m"],
}
_SIZE_SCHEMA = {
    "anyOf": [{"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*(B|kB|MB|GB|KiB|MiB|GiB)\s*$"}, {"const": 0}],
    "examples": ["512KiB", "64MiB", "2GB"],
}

Duration = Annotated[float, BeforeValidator(parse_duration), WithJsonSchema(_DURATION_SCHEMA)]
"""Seconds as a float; written as text with a unit in the configuration."""
Span = Annotated[float, BeforeValidator(parse_span), WithJsonSchema(_SPAN_SCHEMA)]
"""A duration greater than zero, for options with which zero would mean "without a pause" or "never in time"."""
Size = Annotated[int, BeforeValidator(parse_size), WithJsonSchema(_SIZE_SCHEMA)]
"""Bytes as an int; written as text with a unit in the configuration."""
Device = Annotated[str, StringConstraints(pattern=r"^(auto|cpu|cuda:\d{1,3})$")]
"""Device that models run on; "auto" allows any."""
