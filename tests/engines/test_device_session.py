"""Which sessions accept images on the GPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightd.engines.session import DeviceSession
from sightd.engines.sessions.onnxruntime.cpu import OnnxRuntimeSession
from sightd.engines.sessions.onnxruntime.cuda import OnnxCudaSession
from sightd.engines.sessions.openvino import OpenVinoSession
from sightd.engines.sessions.tensorrt.session import TensorRTSession
from tests.support.networks import write_double

ON_GPU: list[type[DeviceSession]] = [TensorRTSession, OnnxCudaSession]
"""The type checker verifies their signatures."""
_METHODS = ("largest_batch", "run", "run_device")


@pytest.mark.parametrize("session", ON_GPU)
def test_sessions_on_a_gpu_are_known_by_what_they_can(session: type) -> None:
    assert all(hasattr(session, method) for method in _METHODS)


@pytest.mark.parametrize("session", [OnnxRuntimeSession, OpenVinoSession])
def test_sessions_on_the_cpu_have_no_way_for_the_gpus_memory(session: type) -> None:
    assert not hasattr(session, "run_device")


def test_a_session_on_the_cpu_is_not_taken_for_one_on_a_gpu(tmp_path: Path) -> None:
    session = OnnxRuntimeSession(write_double(tmp_path / "double.onnx"), threads=1)
    assert not isinstance(session, DeviceSession)
    session.close()
