"""TensorRT as a backend: what it is asked for, and what it reports if it is unavailable."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from sightd.engines.cuda import driver, gpus
from sightd.engines.cuda.errors import CudaUnavailableError
from sightd.engines.cuda.gpus import Gpu, Gpus
from sightd.engines.errors import BackendUnavailableError, EngineBuildError
from sightd.engines.model import ColourOrder, InputSpec, Model, Resize
from sightd.engines.sessions import factories
from sightd.engines.sessions.backends import SessionRequest
from sightd.engines.sessions.factories import TensorRtFactory
from sightd.engines.sessions.tensorrt import names
from sightd.engines.sessions.tensorrt.ensure import EngineRequest
from sightd.engines.sessions.tensorrt.verify import Verifier, verifier_for
from tests.support.networks import write_double


def verifier_of(model: Model) -> Verifier:
    return verifier_for("style", None)


class Opened:
    """Records what the factory opens, instead of a GPU and TensorRT."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.devices: list[str] = []
        self.requests: list[EngineRequest] = []
        self.fault: Exception | None = None
        monkeypatch.setattr(names, "load", lambda: "tensorrt")
        monkeypatch.setattr(gpus, "open_device", self.open_device)
        monkeypatch.setattr(factories, "open_session", self.open_session)

    def open_device(self, which: str) -> str:
        if which == "cuda:9":
            raise CudaUnavailableError("cuda:9 does not exist: this machine has 2 (cuda:0 is the first)")
        self.devices.append(which)
        return which

    def open_session(self, request: EngineRequest, *_: Any) -> EngineRequest:
        if self.fault is not None:
            raise self.fault
        self.requests.append(request)
        return request


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Opened:
    return Opened(monkeypatch)


@pytest.fixture
def request_for(tmp_path: Path) -> SessionRequest:
    path = write_double(tmp_path / "double.onnx")
    spec = InputSpec("images", 8, 8, ColourOrder.RGB, Resize.STRETCH)
    return SessionRequest(Model("double", "style", "", "own", spec, path=path), path, device="cuda:0")


def test_runs_a_file_in_its_own_precision_unless_asked_for_fp16(opened: Opened, request_for: SessionRequest) -> None:
    tensorrt = TensorRtFactory(verifier_of, Gpus())
    tensorrt.make(request_for)
    tensorrt.make(replace(request_for, precision="fp16"))
    assert [request.precision for request in opened.requests] == ["fp32", "fp16"]


def test_opens_each_gpu_once(opened: Opened, request_for: SessionRequest) -> None:
    tensorrt = TensorRtFactory(verifier_of, Gpus())
    for device in ("cuda:0", "cuda:1", "cuda:0"):
        tensorrt.make(replace(request_for, device=device))
    assert opened.devices == ["cuda:0", "cuda:1"]


def test_shares_the_gpu_with_the_kernels_in_either_order(
    opened: Opened, request_for: SessionRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SIGHTD_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(gpus, "find_library", lambda: tmp_path)
    monkeypatch.setattr(gpus, "Nvrtc", lambda library: "compiler")
    monkeypatch.setattr(gpus, "with_kernels", lambda device, *_: Gpu(device, Mock()))
    shared = Gpus()
    tensorrt = TensorRtFactory(verifier_of, shared)
    tensorrt.make(replace(request_for, device="cuda:0"))
    assert shared.get("cuda:0").device is shared.device("cuda:0")
    shared.get("cuda:1")
    tensorrt.make(replace(request_for, device="cuda:1"))
    assert opened.devices == ["cuda:0", "cuda:1"]


@pytest.mark.parametrize("precision", ["int8", "bf16"])
def test_makes_no_other_precision_out_of_a_file(opened: Opened, request_for: SessionRequest, precision: Any) -> None:
    with pytest.raises(BackendUnavailableError, match=precision):
        TensorRtFactory(verifier_of, Gpus()).make(replace(request_for, precision=precision))
    assert opened.requests == []


def test_a_build_that_fails_leaves_the_network_to_the_next_backend(opened: Opened, request_for: SessionRequest) -> None:
    opened.fault = EngineBuildError("no tactic")
    with pytest.raises(BackendUnavailableError, match="no tactic"):
        TensorRtFactory(verifier_of, Gpus()).make(request_for)


def test_a_gpu_that_is_not_there_is_reported(opened: Opened, request_for: SessionRequest) -> None:
    with pytest.raises(BackendUnavailableError, match="no usable GPU: cuda:9 does not exist"):
        TensorRtFactory(verifier_of, Gpus()).make(replace(request_for, device="cuda:9"))


def test_says_what_is_missing_the_gpu_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(factories, "no_gpu", lambda: "no NVIDIA GPU found")
    assert TensorRtFactory(verifier_of, Gpus()).missing() == "no NVIDIA GPU found"
    monkeypatch.setattr(factories, "no_gpu", lambda: None)
    monkeypatch.setattr(names, "unavailable", lambda: "TensorRT is not installed")
    assert TensorRtFactory(verifier_of, Gpus()).missing() == "TensorRT is not installed"
    monkeypatch.setattr(names, "unavailable", lambda: None)
    monkeypatch.setattr(driver, "available", lambda: "no NVIDIA driver")
    assert TensorRtFactory(verifier_of, Gpus()).missing() == "no NVIDIA driver"
