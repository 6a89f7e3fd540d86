"""Compiled kernels are cached, and recompiled when any of their inputs has changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sightd.engines.cuda import compile as cuda_compile
from sightd.engines.cuda.compile import CubinCache, DeviceKernels
from sightd.engines.errors import EngineError
from tests.support.host_kernels.device import HostDevice


@dataclass
class RecordingCompiler:
    """Returns the source's name as its cubin, which is what the host device loads."""

    version: str = "13.5"
    compiled: list[tuple[str, tuple[int, int]]] = field(default_factory=list)

    def compile(
        self, name: str, source: str, headers: Mapping[str, str], capability: tuple[int, int], options: Sequence[str]
    ) -> bytes:
        assert "common.cuh" in headers
        assert "#include" in source
        self.compiled.append((name, capability))
        return name.removesuffix(".cu").encode()


def test_a_kernel_is_compiled_once_for_each_kind_of_card(tmp_path: Path) -> None:
    compiler = RecordingCompiler()
    for capability in [(8, 6), (8, 6), (9, 0)]:
        assert CubinCache(tmp_path, compiler).cubin("preprocess", capability) == b"preprocess"
    assert compiler.compiled == [("preprocess.cu", (8, 6)), ("preprocess.cu", (9, 0))]
    assert all(path.suffix == ".cubin" for path in tmp_path.iterdir())


@pytest.mark.parametrize("change", ["source", "options", "compiler"])
def test_it_is_compiled_again_when_anything_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    compiler = RecordingCompiler()
    CubinCache(tmp_path, compiler).cubin("preprocess", (8, 6))
    if change == "source":
        monkeypatch.setattr(cuda_compile, "_read", lambda name: f'#include "common.cuh"\n// {name}, another version')
    elif change == "options":
        monkeypatch.setattr(cuda_compile, "OPTIONS", ("--std=c++20",))
    else:
        compiler.version = "13.6"
    CubinCache(tmp_path, compiler).cubin("preprocess", (8, 6))
    assert len(compiler.compiled) == 2


def test_nothing_is_left_behind_where_the_folder_cannot_take_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(EngineError, match="cannot store compiled kernels"):
        CubinCache(tmp_path / "file", RecordingCompiler()).cubin("preprocess", (8, 6))


def test_a_device_loads_each_source_once(tmp_path: Path) -> None:
    compiler = RecordingCompiler()
    kernels = DeviceKernels(HostDevice(), (8, 6), CubinCache(tmp_path, compiler))
    kernels.function("preprocess", "preprocess_f32")
    kernels.function("preprocess", "preprocess_f16")
    assert len(compiler.compiled) == 1
