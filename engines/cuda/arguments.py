"""Packs kernel arguments into the single buffer that the driver takes."""

from __future__ import annotations

import sys
from typing import Any, Protocol

import numpy as np

_POINTER = 8


class HasAddress(Protocol):
    """An object with memory on the device."""

    @property
    def address(self) -> int: ...


Argument = HasAddress | np.number[Any] | bytes
"""A buffer (its address is passed), a numpy scalar of the parameter's type, or the bytes of a struct."""


def pack(arguments: tuple[Argument, ...]) -> bytes:
    """Lays out the arguments as C does: each aligned to its own size; pointers and structs to 8 bytes.

    The alignment of a struct is not visible from its bytes and may be anything up to 8. So a struct must land at a
    multiple of 8 on its own (place it before an odd number of 4-byte scalars). Raises ValueError otherwise, because the
    kernel might read it at another offset. Structs with float4, double2 or similar members (alignment 16) are not
    supported. Raises TypeError for Python numbers, whose width is unknown.
    """
    packed = bytearray()
    for position, argument in enumerate(arguments):
        if isinstance(argument, bytes):
            if len(packed) % _POINTER:
                raise ValueError(
                    f"argument {position} is a struct at offset {len(packed)}: put structs before 4-byte scalars"
                )
            packed += argument
        elif isinstance(argument, np.number):
            packed += bytes(-len(packed) % argument.itemsize) + argument.tobytes()
        elif isinstance(argument, int | float):
            raise TypeError(f"argument {position} is {argument!r}: pass a numpy scalar, such as numpy.int32")
        else:
            packed += bytes(-len(packed) % _POINTER) + argument.address.to_bytes(_POINTER, sys.byteorder)
    return bytes(packed)
