"""Kernel arguments, packed into the one buffer that the driver takes."""

from __future__ import annotations

import sys
from typing import Any, Protocol

import numpy as np

_POINTER = 8


class HasAddress(Protocol):
    """Something that lies on the device."""

    @property
    def address(self) -> int: ...


Argument = HasAddress | np.number[Any] | bytes
"""A buffer (its address is passed), a numpy scalar of the parameter's own type, or the bytes of a struct."""


def pack(arguments: tuple[Argument, ...]) -> bytes:
    """The arguments as C would lay them out: each at a multiple of its own size, pointers and structs of 8 bytes.

    The bytes of a struct do not tell its alignment, which may be anything up to 8. So a struct must come to lie at a
    multiple of 8 by itself (put it before an odd number of 4-byte scalars); ValueError where it does not, because the
    kernel could read it from another place. A struct that holds float4, double2 or the like (alignment 16) can not be
    passed. TypeError for Python numbers, whose width nobody knows.
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
            raise TypeError(f"argument {position} is {argument!r}: give a numpy scalar, such as numpy.int32")
        else:
            packed += bytes(-len(packed) % _POINTER) + argument.address.to_bytes(_POINTER, sys.byteorder)
    return bytes(packed)
