"""Which CPUs sum int8 products exactly."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightd.engines.sessions.openvino import sums_int8_exactly


@pytest.mark.parametrize(
    ("flags", "exact"),
    [
        ("fpu avx avx2", False),
        ("fpu avx2 avx512f avx512bw avx512vl avx512dq", False),
        ("fpu avx2 avx_vnni", True),
        ("fpu avx2 avx512f avx512_vnni", True),
        ("fpu amx_tile amx_int8", True),
    ],
)
def test_x86_does_where_it_has_dot_products(flags: str, exact: bool, tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\nmodel name\t: Some avx_vnni name\nflags\t\t: {flags}\nbugs\t\t: none\n")
    assert sums_int8_exactly(cpuinfo, "x86_64") is exact


def test_x86_without_a_list_of_features_is_not_trusted(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\n")
    assert not sums_int8_exactly(tmp_path / "cpuinfo", "x86_64")
    assert not sums_int8_exactly(tmp_path / "absent", "x86_64")


def test_other_processors_have_no_such_instruction(tmp_path: Path) -> None:
    assert sums_int8_exactly(tmp_path / "absent", "aarch64")
