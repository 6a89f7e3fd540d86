"""The backends of this installation: what they do with a file, and what they report if they cannot."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest

from sightd.engines.errors import BackendUnavailableError
from sightd.engines.model import ColourOrder, InputSpec, Model, Resize
from sightd.engines.sessions.backends import DEFAULT_BACKENDS, Precision, Preference, SessionRequest
from sightd.engines.sessions.factories import OnnxCudaFactory, OnnxRuntimeFactory, OpenVinoFactory, installed_backends
from sightd.engines.sessions.onnxruntime.cuda import OnnxCudaSession
from tests.support.networks import write_double

without_cuda = pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="ONNX Runtime has CUDA here"
)


@pytest.fixture
def double(tmp_path: Path) -> SessionRequest:
    spec = InputSpec("images", 8, 8, ColourOrder.BGR, Resize.STRETCH)
    return SessionRequest(Model("double", "detector", "yolox", "MIT", spec), write_double(tmp_path / "double.onnx"))


def wishing(request: SessionRequest, precision: Precision, device: str = "cpu") -> SessionRequest:
    return SessionRequest(request.model, request.path, request.threads, precision, device)


@pytest.mark.parametrize("precision", ["auto", "fp32"])
def test_onnx_runtime_runs_an_fp32_file_as_it_is(double: SessionRequest, precision: Precision) -> None:
    assert OnnxRuntimeFactory().make(wishing(double, precision)).backend.precision == "fp32"


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_onnx_runtime_does_not_pretend_to_another_precision(double: SessionRequest, precision: Precision) -> None:
    with pytest.raises(BackendUnavailableError, match=f"does not support {precision}"):
        OnnxRuntimeFactory().make(wishing(double, precision))


def test_int8_of_an_fp32_file_is_refused_with_the_command_that_makes_it(double: SessionRequest) -> None:
    with pytest.raises(BackendUnavailableError, match="`sightd models quantize double --calibrate SOURCE`"):
        OnnxRuntimeFactory().make(wishing(double, "int8"))


def test_openvino_that_is_not_installed_is_reported_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert "pip install 'sightd[openvino]'" in (OpenVinoFactory().missing() or "")


@without_cuda
def test_absent_cuda_is_reported_and_not_replaced_by_a_cpu_session(double: SessionRequest) -> None:
    assert OnnxCudaFactory().missing()
    with pytest.raises(BackendUnavailableError, match="has no CUDA support"):
        OnnxCudaSession(double.path, 0)


@without_cuda
def test_by_default_a_machine_without_a_gpu_runs_onnx_runtime_and_says_why(double: SessionRequest) -> None:
    session, passed = installed_backends().open(double, Preference())
    assert session.backend.name == "onnxruntime-cpu"
    assert [reason.split(":")[0] for reason in passed.split("; ")] == list(DEFAULT_BACKENDS[:-1])


def test_looking_for_backends_imports_none_of_their_libraries() -> None:
    code = (
        "import sys, sightd.engines.sessions.factories as m\n"
        "for factory in m.installed_backends().factories.values(): factory.missing()\n"
        "print([n for n in ('openvino', 'pycuda', 'tensorrt', 'cuda') if n in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout.strip() == "[]"
