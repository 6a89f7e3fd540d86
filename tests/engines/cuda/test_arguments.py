from __future__ import annotations

import ctypes
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightd.engines.cuda.program import Argument, pack


class Buffer:
    """A simulated buffer at an address."""

    def __init__(self, address: int) -> None:
        self.address = address


_C_TYPES = {
    np.int8: ctypes.c_int8,
    np.int16: ctypes.c_int16,
    np.int32: ctypes.c_int32,
    np.float32: ctypes.c_float,
    np.uint64: ctypes.c_uint64,
    np.float64: ctypes.c_double,
}


@given(st.lists(st.tuples(st.sampled_from(list(_C_TYPES)), st.integers(0, 100)), min_size=1, max_size=12))
def test_scalars_lie_where_c_puts_them(values: list[tuple[type[np.number], int]]) -> None:
    fields = [(f"f{n}", _C_TYPES[kind]) for n, (kind, _) in enumerate(values)]
    layout = type("Layout", (ctypes.Structure,), {"_fields_": fields})(*[value for _, value in values])
    packed = pack(tuple(kind(value) for kind, value in values))
    assert packed == bytes(layout)[: len(packed)]


def test_a_buffer_is_passed_as_its_address() -> None:
    assert pack((np.int32(7), Buffer(0x1234_5678_9ABC), np.float32(0.5))) == struct.pack(
        "<i4xQf", 7, 0x1234_5678_9ABC, 0.5
    )


def test_a_struct_lies_at_a_multiple_of_8() -> None:
    assert pack((Buffer(1), b"abcdefghijkl", np.int32(5))) == struct.pack("<Q12si", 1, b"abcdefghijkl", 5)


def test_a_struct_of_which_the_place_is_not_certain_is_refused() -> None:
    with pytest.raises(ValueError, match="argument 1 is a struct at offset 4: put structs before 4-byte scalars"):
        pack((np.int32(5), b"abcdefgh"))


@pytest.mark.parametrize("number", [1, 0.5, True])
def test_a_python_number_has_no_width(number: Argument) -> None:
    with pytest.raises(TypeError, match="numpy scalar"):
        pack((number,))
