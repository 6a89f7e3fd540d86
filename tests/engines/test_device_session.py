"""Which sessions may be given pictures on the GPU."""

from __future__ import annotations

import pytest

from engines.device_session import DeviceSession
from engines.onnx_cuda_session import OnnxCudaSession
from engines.onnx_session import OnnxRuntimeSession
from engines.openvino_session import OpenVinoSession
from engines.trt.session import TensorRTSession

ON_GPU: list[type[DeviceSession]] = [TensorRTSession, OnnxCudaSession]
"""That they have the very signatures, the type checker holds."""
_MEMBERS = ("backend", "inputs", "largest_batch", "run", "run_device")


@pytest.mark.parametrize("session", ON_GPU)
def test_sessions_on_a_gpu_are_known_by_what_they_can(session: type) -> None:
    assert all(hasattr(session, member) for member in _MEMBERS)


@pytest.mark.parametrize("session", [OnnxRuntimeSession, OpenVinoSession])
def test_sessions_on_the_cpu_are_not_taken_for_such(session: type) -> None:
    assert not isinstance(object.__new__(session), DeviceSession)
