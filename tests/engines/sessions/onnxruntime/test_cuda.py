"""Sessions on CUDA without CUDA: ONNX Runtime silently falls back to the CPU, ours do not."""

from __future__ import annotations

import warnings
from pathlib import Path

import onnxruntime
import pytest

from sightd.engines.errors import BackendUnavailableError
from sightd.engines.sessions.onnxruntime import cuda
from sightd.engines.sessions.onnxruntime.cuda import OnnxCudaSession
from tests.support.networks import write_double

pytestmark = pytest.mark.skipif(
    cuda.PROVIDER in onnxruntime.get_available_providers(), reason="ONNX Runtime has CUDA here"
)


def test_without_the_provider_what_has_it_is_reported(tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailableError, match="onnxruntime-gpu"):
        OnnxCudaSession(write_double(tmp_path / "double.onnx"), 0)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_session_that_came_out_on_the_cpu_is_refused(
    tmp_path: Path, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_double(tmp_path / "double.onnx")
    with warnings.catch_warnings(action="ignore"):
        alone = onnxruntime.InferenceSession(str(path), providers=[cuda.PROVIDER])
        assert alone.get_providers() == ["CPUExecutionProvider"]  # this must not happen to a user
        monkeypatch.setattr(cuda, "missing", lambda: None)
        with pytest.raises(BackendUnavailableError, match="CUDA failed to initialize"):
            OnnxCudaSession(path, 0, precision=precision)
