"""Detects what the processor can compute exactly."""

from __future__ import annotations

import platform
from pathlib import Path

_DOT_PRODUCTS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})


def sums_int8_exactly(cpuinfo: Path = Path("/proc/cpuinfo"), machine: str = platform.machine()) -> bool:
    """Returns whether sums of products of unsigned and signed bytes are accumulated in 32 bits.

    x86 processors without VNNI add two such products in 16 bits and saturate (VPMADDUBSW). `cpuinfo` is the path of the
    kernel's CPU list. Returns False if it cannot be read.
    """
    if machine not in ("x86_64", "AMD64"):
        return True
    try:
        told = cpuinfo.read_text()
    except OSError:
        return False
    for line in told.splitlines():
        name, _, flags = line.partition(":")
        if name.strip() == "flags":
            return not _DOT_PRODUCTS.isdisjoint(flags.split())
    return False
