"""Which preferred model runs, and the sentence that explains why."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from sightd.engines.cuda.compile import CompilerUnavailableError
from sightd.engines.cuda.gpus import Gpus, RoundRobin
from sightd.engines.cuda.launch.detect import BoxSelection
from sightd.engines.cuda.pipelines.detection import HeadParameters
from sightd.engines.errors import EngineError, ModelFileError, ModelUnavailableError, UnknownModelError
from sightd.engines.model import ColourOrder, InputSpec, Model, Resize, UrlSource
from sightd.engines.models.catalog import Catalog
from sightd.engines.models.fetch import Fetcher
from sightd.engines.models.store import ModelStore, ensure_model
from sightd.engines.progress import silent
from sightd.engines.session import Backend, Session
from sightd.engines.sessions.backends import PLAIN, BackendFactory, Backends, Preference, SessionRequest
from sightd.engines.sessions.factories import OnnxRuntimeFactory
from sightd.engines.sessions.loader import EngineLoader, LoadOptions
from sightd.engines.sessions.onnxruntime.cpu import OnnxRuntimeSession
from tests.support.http_files import FileServer, file_server
from tests.support.networks import write_double

SPEC = InputSpec("images", 8, 8, ColourOrder.BGR, Resize.STRETCH)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileServer]:
    with file_server() as state:
        for name in ("small", "large"):
            state.files[f"/{name}.onnx"] = write_double(tmp_path / name, output=name).read_bytes()
        yield state


@pytest.fixture
def loader(server: FileServer, tmp_path: Path) -> EngineLoader:
    """A loader that knows "small", "large", and "gone", whose URL is not served."""
    sources = {name: UrlSource(server.url(f"/{name}.onnx"), "0" * 64, 1) for name in ("small", "large", "gone")}
    for name, source in sources.items():
        if body := server.files.get(f"/{name}.onnx"):
            sources[name] = replace(source, sha256=hashlib.sha256(body).hexdigest(), size=len(body))
    models = {n: Model(n, "detector", "yolox", "Apache-2.0", SPEC, sources=(s,)) for n, s in sources.items()}
    return EngineLoader(Catalog(models), ModelStore(tmp_path / "models"), LoadOptions(preference=PLAIN))


def store(loader: EngineLoader, name: str) -> None:
    ensure_model(loader.catalog.get(name), loader.store, Fetcher(silent))


def test_the_first_choice_runs_if_it_is_stored(loader: EngineLoader, server: FileServer) -> None:
    store(loader, "small")
    store(loader, "large")
    server.requests.clear()
    engine = loader.load(["large", "small"])
    assert engine.model.name == "large"
    assert engine.reason == "large: first choice"
    outputs, geometries = engine.run([np.full((16, 16, 3), 7, np.uint8)] * 2)
    assert outputs["large"].shape == (2, 3, 8, 8)
    assert (outputs["large"] == 14).all()
    assert geometries[0].scale_x == 0.5
    assert server.requests == []


def test_a_stored_second_choice_runs_without_the_network_and_says_how_to_get_the_first(
    loader: EngineLoader, server: FileServer
) -> None:
    store(loader, "small")
    server.requests.clear()
    engine = loader.load(["large", "small"])
    assert engine.reason == "small: second choice; large is not stored (run: sightd models fetch large)"
    assert server.requests == []


def test_only_when_none_is_stored_the_first_is_fetched(loader: EngineLoader, server: FileServer) -> None:
    engine = loader.load(["large", "small"])
    assert engine.reason == "large: first choice, just downloaded from 127.0.0.1"
    assert server.requests == ["/large.onnx"]


def test_the_next_is_fetched_where_the_first_cannot_be_had(loader: EngineLoader) -> None:
    engine = loader.load(["gone", "small"])
    assert engine.model.name == "small"
    assert engine.reason == (
        "small: second choice, just downloaded from 127.0.0.1; "
        "gone was not available (127.0.0.1: the server answered 404 Not Found)"
    )


def test_where_none_can_be_had_each_is_told(loader: EngineLoader) -> None:
    with pytest.raises(ModelUnavailableError, match="gone could not be downloaded"):
        loader.load(["gone"])


def test_with_fetching_off_the_command_that_fetches_is_told(loader: EngineLoader, server: FileServer) -> None:
    with pytest.raises(ModelUnavailableError, match="sightd models fetch large"):
        replace(loader, options=LoadOptions(fetch=False, preference=PLAIN)).load(["large", "small"])
    assert server.requests == []


def test_a_misspelt_name_is_told_even_behind_one_that_could_run(loader: EngineLoader) -> None:
    store(loader, "small")
    with pytest.raises(UnknownModelError, match="'lagre'"):
        loader.load(["small", "lagre"])


@pytest.mark.parametrize(("device", "first"), [("cpu", "cpu-model"), ("cuda:0", "gpu-model"), ("auto", "gpu-model")])
def test_auto_is_the_detectors_of_what_runs_them(
    loader: EngineLoader, monkeypatch: pytest.MonkeyPatch, device: str, first: str
) -> None:
    monkeypatch.setattr("sightd.engines.sessions.loader.CPU_DETECTORS", ("cpu-model",))
    monkeypatch.setattr("sightd.engines.sessions.loader.GPU_DETECTORS", ("gpu-model", "cpu-model"))
    factories: dict[str, BackendFactory] = {"onnxruntime-cuda": _PresentOnGpu(), "onnxruntime": OnnxRuntimeFactory()}
    backends = Backends(factories, RoundRobin(1))
    options = LoadOptions(fetch=False, preference=Preference(("onnxruntime-cuda", "onnxruntime"), "auto", device))
    models = {name: Model(name, "detector", "yolox", "MIT", SPEC) for name in ("cpu-model", "gpu-model")}
    with pytest.raises(ModelUnavailableError, match=f"^{first}") as told:
        EngineLoader(Catalog(models), loader.store, options, backends).load(["auto"])
    assert ("or cpu-model" in str(told.value)) is (first == "gpu-model")


class _PresentOnGpu:
    on_gpu = True

    def missing(self) -> str | None:
        return None

    def make(self, request: SessionRequest) -> Session:
        raise AssertionError("nothing is opened")


def test_the_input_of_a_file_has_the_name_that_the_file_says(
    loader: EngineLoader, server: FileServer, tmp_path: Path
) -> None:
    small = loader.catalog.get("small")
    unnamed = replace(small, input=replace(SPEC, tensor=""))
    unnamed_loader = replace(loader, catalog=Catalog({"small": unnamed}))
    engine = unnamed_loader.load(["small"])
    assert engine.model.input.tensor == "images"
    assert engine.run([np.zeros((8, 8, 3), np.uint8)])[0]["small"].shape == (1, 3, 8, 8)


def test_no_name_at_all_is_told(loader: EngineLoader) -> None:
    with pytest.raises(EngineError, match="no model given"):
        loader.load([])


def test_a_users_own_file_runs_as_it_is(loader: EngineLoader, tmp_path: Path) -> None:
    own = Model("own", "detector", "yolox", "", SPEC, path=write_double(tmp_path / "own.onnx"))
    engine = loader.load([own])
    assert engine.reason == "own: the only choice"
    assert engine.session.run({"images": np.ones((1, 3, 8, 8), np.float32)})["output"].max() == 2


@pytest.mark.parametrize("spec", [replace(SPEC, tensor="data"), replace(SPEC, width=16)])
def test_a_file_that_is_not_what_its_entry_says_is_refused(
    loader: EngineLoader, tmp_path: Path, spec: InputSpec
) -> None:
    own = Model("own", "detector", "yolox", "", spec, path=write_double(tmp_path / "own.onnx"))
    with pytest.raises(ModelFileError, match="own: the"):
        loader.load([own])


def test_a_stored_file_that_was_damaged_is_not_run(loader: EngineLoader, server: FileServer) -> None:
    store(loader, "small")
    path = loader.store.path(loader.catalog.get("small"))
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ModelUnavailableError):
        replace(loader, options=LoadOptions(fetch=False, preference=PLAIN)).load(["small"])
    assert loader.load(["small"]).reason == "small: the only choice, just downloaded from 127.0.0.1"


class Elsewhere(OnnxRuntimeSession):
    """A session that reports that it runs on a GPU, like `OnnxCudaSession` without PyCUDA."""

    largest_batch = 1

    def __init__(self, path: Path, threads: int) -> None:
        super().__init__(path, threads)
        self.backend = Backend("onnxruntime-cuda", "cuda:0", "fp32")

    def run_device(self, inputs: object, batch: int, stream: object) -> NoReturn:
        raise AssertionError("without a device nothing is run on it")


class ElsewhereMaker(OnnxRuntimeFactory):
    def make(self, request: SessionRequest) -> Session:
        return Elsewhere(request.path, request.threads)


def test_where_only_the_network_can_run_on_the_gpu_the_reason_says_so(
    loader: EngineLoader, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(which: str) -> NoReturn:
        raise CompilerUnavailableError("NVRTC was not found: install it")

    monkeypatch.setattr(Gpus, "get", lambda gpus, which: missing(which))
    store(loader, "small")
    backends = replace(loader.backends, factories={"onnxruntime": ElsewhereMaker()})
    engine = replace(loader, backends=backends).load(["small"])
    assert engine.gpu is None
    assert engine.reason.endswith("pre- and post-processing run on the CPU: NVRTC was not found: install it")
    assert "NVRTC was not found" in caplog.text
    assert engine.detection_pipelines(HeadParameters(np.ones(1, np.float32), BoxSelection(0.5, 1))) is None
