"""How the configuration selects the backends of models, and what happens at the start if that is impossible."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import yaml

from sightd.daemon.config.model import Engines, Models
from sightd.daemon.pipeline import model_loading
from sightd.daemon.pipeline.model_loading import engine_loading, preference_of, verifier_of
from sightd.engines.cuda.gpus import Gpus, RoundRobin
from sightd.engines.errors import (
    BackendUnavailableError,
    EngineVerificationError,
    ModelUnavailableError,
    UnknownModelError,
)
from sightd.engines.models.catalog import Catalog
from sightd.engines.models.custom_models import CustomModelMetadata, file_of, put
from sightd.engines.session import Session
from sightd.engines.sessions.backends import DEFAULT_BACKENDS, Backends, Preference, SessionRequest
from sightd.engines.sessions.factories import OnnxRuntimeFactory
from sightd.plugins.api import PluginConfig
from sightd.plugins.detector.config import DetectorConfig
from tests.support import plates
from tests.support.daemon import one_object_network
from tests.support.networks import write_colours

without_cuda = pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="ONNX Runtime has CUDA here"
)


def test_by_default_any_device_and_the_backends_own_precision() -> None:
    assert preference_of(Engines(), PluginConfig()) == Preference(DEFAULT_BACKENDS, "auto", "auto")


def test_a_plugins_own_options_come_before_the_files() -> None:
    engines = Engines(backends=["openvino", "onnxruntime"], precision="bf16", device="cpu")
    assert preference_of(engines, PluginConfig()) == Preference(("openvino", "onnxruntime"), "bf16", "cpu")
    assert preference_of(engines, PluginConfig(precision="fp32")) == Preference(
        ("openvino", "onnxruntime"), "fp32", "cpu"
    )
    assert preference_of(engines, PluginConfig(backends=["tensorrt"], device="cuda:1")) == Preference(
        ("tensorrt",), "bf16", "cuda:1"
    )


def test_a_network_that_was_made_since_the_start_is_found(tmp_path: Path) -> None:
    """As when a reload names one that was trained meanwhile."""
    load = engine_loading(Models(directory=tmp_path, fetch=False), Engines())
    with pytest.raises(UnknownModelError):
        load(["colours"], 1, PluginConfig())
    made = write_colours(file_of("colours", tmp_path).with_name("made.onnx"), side="side")
    put(
        Catalog.load().get("mobilenet-v2"),
        "colours",
        made,
        CustomModelMetadata("mobilenet-v2", "", "for the test", "", "", ("red", "green", "blue")),
        tmp_path,
    )
    engine = load(["colours"], 1, PluginConfig())
    assert engine.model.labels == ("red", "green", "blue")
    engine.close()


@pytest.mark.parametrize("device", ["gpu", "cuda", "cuda:-1", "cuda:0 ", ""])
def test_a_device_that_is_none_is_refused(device: str) -> None:
    with pytest.raises(ValueError, match="device"):
        Engines(device=device)


@without_cuda
def test_one_plugin_may_require_what_the_file_does_not(tmp_path: Path) -> None:
    config = DetectorConfig.model_validate({**one_object_network(tmp_path), "device": "cuda:0"})
    load = engine_loading(Models(directory=tmp_path), Engines())
    with pytest.raises(BackendUnavailableError, match="onnxruntime: does not run on cuda:0"):
        load(config.model.resolve(), 1, config)
    free = config.model_copy(update={"device": None})
    engine = load(config.model.resolve(), 1, free)
    assert engine.session.backend.device == "cpu"
    assert "not on tensorrt: " in engine.reason
    assert "onnxruntime-cuda: " in engine.reason


@without_cuda
def test_a_start_without_the_required_backend_ends_with_exit_code_3_and_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "sightd.yaml"
    configuration = {
        "engines": {"backends": ["onnxruntime-cuda"]},
        "cameras": {"test": {"source": "testpattern://"}},
        "plugins": {"detector": one_object_network(tmp_path)},
        "chain": ["detector"],
        "rtsp": {"enabled": False},
        "http": {"enabled": False},
    }
    path.write_text(yaml.safe_dump(configuration))
    ended = subprocess.run(
        [sys.executable, "-m", "sightd", "run", "-c", str(path)],
        cwd=Path(__file__).resolve().parents[3], env=os.environ, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ended.returncode == 3
    assert "onnxruntime-cuda: " in ended.stderr
    assert "Install what is missing, or allow another backend" in ended.stderr


def message_of(models: Models) -> str:
    with pytest.raises(ModelUnavailableError) as caught:
        engine_loading(models, Engines())(["ssd-mobilenet-v2"], 1, PluginConfig())
    return str(caught.value)


def test_the_mirror_folder_of_the_environment_stands_where_the_configuration_names_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGHTD_MODEL_MIRROR", str(tmp_path / "mirror"))
    options = Models(directory=tmp_path, max_download=0)
    assert f"mirror folder {tmp_path / 'mirror'}" in message_of(options)
    assert f"mirror folder {tmp_path / 'own'}" in message_of(options.model_copy(update={"mirror": tmp_path / "own"}))


def test_nothing_is_fetched_where_fetching_is_off(tmp_path: Path) -> None:
    assert "downloading is disabled" in message_of(Models(directory=tmp_path, fetch=False))


def test_tensorrt_and_the_kernels_share_the_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Gpus] = []

    class Loader:
        def __init__(self, *arguments: object) -> None:
            given.append(next(argument for argument in arguments if isinstance(argument, Gpus)))

        def load(self, choice: object) -> None:
            """Loads nothing."""

    def installed(verifier_of: object, gpus: Gpus) -> Backends:
        given.append(gpus)
        return Backends({}, RoundRobin(1))

    monkeypatch.setattr(model_loading, "installed_backends", installed)
    monkeypatch.setattr(model_loading, "EngineLoader", Loader)
    engine_loading(Models(directory=tmp_path), Engines())([], 1, PluginConfig())
    of_tensorrt, of_kernels = given
    assert of_tensorrt is of_kernels


def test_a_model_is_opened_with_the_plugins_threads_and_reports_its_progress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[SessionRequest] = []

    class Recorder(OnnxRuntimeFactory):
        def make(self, request: SessionRequest) -> Session:
            asked.append(request)
            return super().make(request)

    backends = Backends({"onnxruntime": Recorder()}, RoundRobin(1))
    monkeypatch.setattr(model_loading, "installed_backends", lambda verifier_of, gpus: backends)
    config = DetectorConfig.model_validate(one_object_network(tmp_path))
    reported = list[str]()

    def progress(task: str, done: int, total: int | None) -> None:
        reported.append(task)

    engine_loading(Models(directory=tmp_path), Engines(), progress)(config.model.resolve(), 3, config).close()
    (request,) = asked
    request.progress("engine", 1, 2)
    assert (request.threads, reported) == (3, ["engine"])


def test_an_engine_of_a_role_that_a_package_brings_is_verified_by_the_boxes_that_its_reader_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plates.installed(tmp_path, monkeypatch)
    verifier = verifier_of(replace(Catalog.load().get("yolox-nano"), role=plates.ROLE))
    outputs = {"plates": np.array([[[10, 10, 50, 20]]], np.float32)}
    assert verifier(outputs, outputs)["mean IoU of matched boxes"] == 1
    with pytest.raises(EngineVerificationError, match="mean IoU"):
        verifier(outputs, {"plates": outputs["plates"] + 5})


def test_a_box_reader_is_imported_only_for_models_of_its_role(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plates.installed(tmp_path, monkeypatch)
    monkeypatch.delitem(sys.modules, plates.MODULE, raising=False)
    detector = Catalog.load().get("yolox-nano")
    verifier_of(detector)
    assert plates.MODULE not in sys.modules
    verifier_of(replace(detector, role=plates.ROLE))
    assert plates.MODULE in sys.modules


def test_a_role_without_a_box_reader_is_left_to_other_backends(tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailableError, match=f"no accuracy limits are defined .* {plates.ROLE!r}"):
        verifier_of(replace(Catalog.load().get("yolox-nano"), role=plates.ROLE))
