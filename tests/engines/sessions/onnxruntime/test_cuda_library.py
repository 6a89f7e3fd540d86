"""Why CUDA does not start, as reported by the loader of shared libraries."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest

from sightd.engines.sessions.onnxruntime.cuda import PROVIDER, missing, preload, why_not_started


@pytest.mark.skipif(PROVIDER in onnxruntime.get_available_providers(), reason="ONNX Runtime has CUDA here")
def test_an_onnx_runtime_without_cuda_is_reported_with_what_has_it() -> None:
    assert "onnxruntime-gpu" in (missing() or "")


def test_a_library_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    (tmp_path / "libonnxruntime_providers_cuda.so").write_bytes(b"no library")
    assert "libonnxruntime_providers_cuda.so" in why_not_started(tmp_path)


def test_preloading_where_there_is_nothing_to_load_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    preload()
    assert capfd.readouterr().out == ""
