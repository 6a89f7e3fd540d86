"""The structs that Python packs match those that the kernels read."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from sightd.engines.cuda.launch.layout import STRUCTS, record
from tests.support.host_kernels.build import compiled


def fields(dtype: np.dtype[Any]) -> Iterator[tuple[str, int, int]]:
    """Yields name, offset and size of each field, with dotted paths for nested structs."""
    for name, (inner, offset, *_) in (dtype.fields or {}).items():
        yield name, offset, inner.itemsize
        for path, nested, size in fields(inner):
            yield f"{name}.{path}", offset + nested, size


def measured() -> list[int]:
    """Returns g++'s numbers for every struct: its size, then offset and size of each field that the dtype names."""
    lines = [
        "#define FIBRES 0",
        '#include "launch.h"',
        *(f'#include "{source}"' for source in sorted({s for s, _ in STRUCTS.values()})),
    ]
    lines.append('extern "C" int measure(int* into) {\nint n = 0;')
    for struct, (_, dtype) in STRUCTS.items():
        lines.append(f"into[n++] = sizeof({struct});")
        for name, _, _ in fields(dtype):
            lines.append(f"into[n++] = offsetof({struct}, {name}); into[n++] = sizeof((({struct}*)0)->{name});")
    lines.append("return n;\n}")
    values = (ctypes.c_int * 4096)()
    count = ctypes.CDLL(str(compiled("layout", "\n".join(lines) + "\n")))["measure"](values)
    return values[:count]


def test_sizes_and_offsets_are_those_of_the_c_structs() -> None:
    found = iter(measured())
    for struct, (_, dtype) in STRUCTS.items():
        assert (struct, next(found)) == (struct, dtype.itemsize)
        for name, offset, size in fields(dtype):
            assert (struct, name, next(found), next(found)) == (struct, name, offset, size)
    assert next(found, None) is None


def test_a_field_that_a_struct_has_not_is_refused() -> None:
    with pytest.raises(ValueError, match="colour"):
        record(STRUCTS["Picture"][1], colour=1)
