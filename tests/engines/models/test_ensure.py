"""Models are put into the store: once, completely, and only as pinned."""

from __future__ import annotations

import hashlib
import logging
import multiprocessing
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from sightd.engines.errors import EngineError, ModelFileError, ModelUnavailableError
from sightd.engines.model import ColourOrder, InputSpec, Model, Resize, UrlSource
from sightd.engines.models.fetch import Fetcher
from sightd.engines.models.store import ModelStore, ensure_model
from sightd.engines.progress import silent
from tests.support.http_files import FileServer, file_server
from tests.support.networks import write_double


@pytest.fixture
def body(tmp_path: Path) -> bytes:
    return write_double(tmp_path / "origin.onnx").read_bytes()


@pytest.fixture
def server(body: bytes) -> Iterator[FileServer]:
    with file_server() as state:
        state.files["/double.onnx"] = body
        yield state


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "cache" / "models")


@pytest.fixture
def model(server: FileServer, body: bytes) -> Model:
    source = UrlSource(server.url("/double.onnx"), hashlib.sha256(body).hexdigest(), len(body))
    spec = InputSpec("images", 8, 8, ColourOrder.BGR, Resize.STRETCH)
    return Model("double", "detector", "yolox", "Apache-2.0", spec, sources=(source,))


def unpinned(model: Model) -> Model:
    source = model.sources[0]
    assert isinstance(source, UrlSource)
    return replace(model, sources=(replace(source, sha256="", size=0),))


def test_a_network_is_stored_with_a_note_of_its_origin(model: Model, store: ModelStore, body: bytes) -> None:
    path = ensure_model(model, store, Fetcher(silent))
    record = store.record(model)
    assert path.read_bytes() == body
    assert record is not None
    assert (record.origin, record.learnt) == ("127.0.0.1", False)
    assert record.source_sha256 == record.sha256 == hashlib.sha256(body).hexdigest()


def test_what_is_stored_is_not_fetched_again(model: Model, store: ModelStore, server: FileServer) -> None:
    for _ in range(3):
        ensure_model(model, store, Fetcher(silent))
    assert server.requests == ["/double.onnx"]


def test_nothing_but_the_network_and_its_note_stays(model: Model, store: ModelStore) -> None:
    killed = store.directory / ".double.fetch-x1y2"
    killed.mkdir(parents=True)
    (killed / "half.onnx").write_bytes(b"half of a download")
    ensure_model(model, store, Fetcher(silent))
    assert sorted(path.name for path in store.directory.iterdir()) == [".double.lock", "double.json", "double.onnx"]


def test_a_failure_leaves_nothing_that_could_be_taken_for_the_network(
    model: Model, store: ModelStore, server: FileServer
) -> None:
    server.cut = 10
    with pytest.raises(ModelUnavailableError, match="the download stopped"):
        ensure_model(model, store, Fetcher(silent))
    assert store.find(model) is None
    server.cut = None
    assert ensure_model(model, store, Fetcher(silent)) == store.find(model)


def test_a_damaged_file_is_noticed_and_fetched_again(
    model: Model, store: ModelStore, server: FileServer, body: bytes
) -> None:
    path = ensure_model(model, store, Fetcher(silent))
    path.write_bytes(body[:-1] + b"x")
    assert "changed or damaged" in store.problem(model)
    assert ensure_model(model, store, Fetcher(silent)).read_bytes() == body
    assert len(server.requests) == 2


def test_a_file_whose_pin_the_catalogue_has_dropped_is_not_used(model: Model, store: ModelStore) -> None:
    ensure_model(model, store, Fetcher(silent))
    renewed = replace(model, sources=(UrlSource("http://127.0.0.1:9/double.onnx", "0" * 64, 1),))
    assert "no longer pinned in the catalogue" in store.problem(renewed)


def test_a_file_of_an_older_converter_is_not_used(model: Model, store: ModelStore) -> None:
    ensure_model(model, store, Fetcher(silent))
    assert "but tensorflow-ssd/1 is in use now" in store.problem(replace(model, convert="tensorflow-ssd"))


def test_an_unknown_hash_is_learnt_once_and_then_holds(
    model: Model, store: ModelStore, server: FileServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        path = ensure_model(unpinned(model), store, Fetcher(silent))
    assert "not pinned yet; recorded sha256" in caplog.text
    assert store.find(unpinned(model)) == path
    path.unlink()
    server.files["/double.onnx"] += b"forged"
    with pytest.raises(ModelUnavailableError, match="rejected"):
        ensure_model(unpinned(model), store, Fetcher(silent))


def test_an_error_page_is_not_learnt_as_a_network(model: Model, store: ModelStore, server: FileServer) -> None:
    server.files["/double.onnx"] = b"<html>Please log in</html>"
    with pytest.raises(ModelFileError):
        ensure_model(unpinned(model), store, Fetcher(silent))
    assert store.find(unpinned(model)) is None
    assert store.learnt_pin(unpinned(model)) == ""


def test_a_folder_that_cannot_be_made_is_named_with_the_way_out(model: Model, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EngineError, match=r"cannot be stored in .*file.*SIGHTD_CACHE_DIR"):
        ensure_model(model, ModelStore(tmp_path / "file"), Fetcher(silent))


def _provide(model: Model, directory: Path, start: Barrier) -> None:
    start.wait(30)
    ensure_model(model, ModelStore(directory), Fetcher(silent))


def test_processes_that_want_it_at_once_fetch_it_once(model: Model, store: ModelStore, server: FileServer) -> None:
    server.patience = 0.5
    spawn = multiprocessing.get_context("spawn")
    start = spawn.Barrier(3)
    processes = [spawn.Process(target=_provide, args=(model, store.directory, start)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert server.requests == ["/double.onnx"]
