"""Resizing arithmetic in the kernels' fixed point format."""

from __future__ import annotations


def steps(source: int, target: int) -> tuple[int, int]:
    """Returns step and start in 32.32 fixed point: source position = (target pixel + 1/2) · source/target − 1/2."""
    return round((source << 32) / target), round((source << 31) / target) - (1 << 31)
