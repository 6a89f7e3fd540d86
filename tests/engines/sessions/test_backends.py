"""Which preferred backend runs a model, and what is reported about those before it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from sightd.engines.cuda.gpus import RoundRobin
from sightd.engines.errors import BackendUnavailableError, ModelFileError
from sightd.engines.model import ColourOrder, InputSpec, Model, Resize
from sightd.engines.session import Backend, Session, Tensor, TensorSpec
from sightd.engines.sessions.backends import BackendName, Backends, Precision, Preference, SessionRequest

SPEC = InputSpec("images", 8, 8, ColourOrder.BGR, Resize.STRETCH)
REQUEST = SessionRequest(Model("net", "detector", "yolox", "MIT", SPEC), Path("net.onnx"), threads=3)


class Made:
    """A session that only records how it was made."""

    def __init__(self, name: str, request: SessionRequest) -> None:
        self.backend = Backend(name, request.device, request.precision)
        self.request = request
        self.inputs: Mapping[str, TensorSpec] = {}
        self.outputs: Mapping[str, TensorSpec] = {}

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {}

    def close(self) -> None: ...


class Maker:
    """A backend factory that is missing, fails, or works."""

    def __init__(
        self, name: str, *, on_gpu: bool = False, missing: str | None = None, fails: Exception | None = None
    ) -> None:
        self.name, self.on_gpu, self.fails = name, on_gpu, fails
        self._missing = missing
        self.asked = 0

    def missing(self) -> str | None:
        self.asked += 1
        return self._missing

    def make(self, request: SessionRequest) -> Session:
        if self.fails:
            raise self.fails
        return Made(self.name, request)


def backends(gpus: int = 1, **factories: Maker) -> Backends:
    return Backends({name.replace("_", "-"): factory for name, factory in factories.items()}, RoundRobin(gpus))


def test_the_first_of_the_list_runs_without_a_warning() -> None:
    session, passed = backends(openvino=Maker("openvino"), onnxruntime=Maker("onnxruntime")).open(
        REQUEST, Preference(("openvino", "onnxruntime"))
    )
    assert session.backend == Backend("openvino", "cpu", "auto")
    assert passed == ""


def test_those_passed_over_are_reported_with_their_reasons() -> None:
    session, passed = backends(
        onnxruntime_cuda=Maker("onnxruntime-cuda", on_gpu=True, missing="no CUDA (buy a GPU)"),
        openvino=Maker("openvino", fails=BackendUnavailableError("no such operator")),
        onnxruntime=Maker("onnxruntime"),
    ).open(REQUEST, Preference(("tensorrt", "onnxruntime-cuda", "openvino", "onnxruntime")))
    assert session.backend.name == "onnxruntime"
    assert passed == (
        "tensorrt: not part of this installation; onnxruntime-cuda: no CUDA (buy a GPU); openvino: no such operator"
    )


def test_what_is_not_in_the_list_never_runs() -> None:
    other = Maker("onnxruntime")
    every = backends(openvino=Maker("openvino", missing="not here (pip install it)"), onnxruntime=other)
    with pytest.raises(BackendUnavailableError, match=r"net cannot run .*\n  openvino: not here \(pip install it\)"):
        every.open(REQUEST, Preference(("openvino",)))
    assert other.asked == 0


def test_a_broken_file_is_not_taken_to_the_next_backend() -> None:
    other = Maker("onnxruntime")
    every = backends(openvino=Maker("openvino", fails=ModelFileError("cut short")), onnxruntime=other)
    with pytest.raises(ModelFileError, match="cut short"):
        every.open(REQUEST, Preference(("openvino", "onnxruntime")))
    assert other.asked == 0


def test_a_device_passes_over_the_backends_of_others() -> None:
    every = backends(onnxruntime_cuda=Maker("onnxruntime-cuda", on_gpu=True), onnxruntime=Maker("onnxruntime"))
    both: tuple[BackendName, ...] = ("onnxruntime-cuda", "onnxruntime")
    session, passed = every.open(REQUEST, Preference(both, device="cpu"))
    assert (session.backend.device, passed) == ("cpu", "onnxruntime-cuda: does not run on cpu")
    session, _ = every.open(REQUEST, Preference(both[::-1], device="cuda:3"))
    assert session.backend.device == "cuda:3"


def test_without_a_preference_models_are_spread_over_the_gpus() -> None:
    every = backends(gpus=2, onnxruntime_cuda=Maker("onnxruntime-cuda", on_gpu=True))
    preference = Preference(("onnxruntime-cuda",))
    assert [every.open(REQUEST, preference)[0].backend.device for _ in range(3)] == ["cuda:0", "cuda:1", "cuda:0"]


@pytest.mark.parametrize("precision", ["auto", "fp16"])
def test_the_backend_factory_gets_the_preference_and_the_threads(precision: Precision) -> None:
    session, _ = backends(openvino=Maker("openvino")).open(REQUEST, Preference(("openvino",), precision))
    assert isinstance(session, Made)
    assert (session.request.precision, session.request.threads, session.request.model.name) == (precision, 3, "net")
