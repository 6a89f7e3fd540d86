"""Every kernel compiles for every supported GPU architecture; errors are reported."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from sightd.engines.cuda.compile import (
    OPTIONS,
    CompilerUnavailableError,
    CubinCache,
    KernelCompileError,
    Nvrtc,
    find_library,
    sources,
)
from tests.support.host_kernels.build import kernels_of
from tests.support.nvrtc import compiler

CAPABILITIES = [(7, 5), (8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (12, 0)]
QUICK = {*((source, min(CAPABILITIES)) for source in sources()), ("preprocess", max(CAPABILITIES))}
"""What `make test` compiles: each source for the oldest card, and one for the newest. No source asks for the card."""


@pytest.mark.parametrize(
    ("source", "capability"),
    [
        pytest.param(*one, marks=[] if one in QUICK else pytest.mark.slow, id=f"{one[0]}-sm_{one[1][0]}{one[1][1]}")
        for one in itertools.product(sources(), CAPABILITIES)
    ],
)
def test_every_kernel_compiles_for_every_card(source: str, capability: tuple[int, int], tmp_path: Path) -> None:
    cubin = CubinCache(tmp_path, compiler()).cubin(source, capability)
    assert cubin.startswith(b"\x7fELF")
    kernels = kernels_of(source)
    assert kernels
    assert not [kernel for kernel in kernels if f".text.{kernel}\0".encode() not in cubin]


def test_the_log_of_a_broken_kernel_is_in_the_error() -> None:
    with pytest.raises(KernelCompileError, match=r"(?s)wrong\.cu does not compile .*nonsense"):
        compiler().compile("wrong.cu", 'extern "C" __global__ void f() { nonsense; }', {}, (8, 6), OPTIONS)


def test_a_card_that_the_compiler_does_not_know_is_named() -> None:
    with pytest.raises(KernelCompileError, match=r"not compile for compute capability 3\.5, only for 7\.5"):
        compiler().compile("any.cu", "", {}, (3, 5), OPTIONS)


def test_without_nvrtc_the_error_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(CompilerUnavailableError, match="pip install nvidia-cuda-nvrtc"):
        find_library([tmp_path])
    (tmp_path / "libnvrtc.so.13").write_bytes(b"not a library")
    with pytest.raises(CompilerUnavailableError, match="cannot be loaded"):
        Nvrtc(find_library([tmp_path]))


def test_of_several_versions_the_newest_is_taken(tmp_path: Path) -> None:
    for name in ("a/libnvrtc.so.12", "b/libnvrtc.so.13"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    assert find_library([tmp_path / "a", tmp_path / "b"]) == tmp_path / "b" / "libnvrtc.so.13"
