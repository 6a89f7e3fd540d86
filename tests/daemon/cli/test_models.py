"""`sightd models`, as typed."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from sightd.daemon.cli import models
from sightd.engines.model import ColourOrder, InputSpec, Model, Resize, UrlSource
from sightd.engines.models.catalog import Catalog
from tests.support.http_files import FileServer, file_server
from tests.support.networks import write_double

SPEC = InputSpec("images", 8, 8, ColourOrder.BGR, Resize.STRETCH)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileServer]:
    with file_server() as state:
        state.files["/small.onnx"] = write_double(tmp_path / "small").read_bytes()
        yield state


@pytest.fixture(autouse=True)
def catalog(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    """A catalogue: "small" can be downloaded, "gone" cannot, and the hash of "new" is unknown."""
    body = server.files["/small.onnx"]
    sources = {
        "gone": UrlSource(server.url("/gone.onnx"), "0" * 64, 1),
        "small": UrlSource(server.url("/small.onnx"), hashlib.sha256(body).hexdigest(), len(body)),
        "new": UrlSource(server.url("/small.onnx"), "", 0),
    }
    found = Catalog({n: Model(n, "detector", "yolox", "MIT", SPEC, sources=(s,)) for n, s in sources.items()})
    monkeypatch.setattr(Catalog, "load", lambda: found)
    monkeypatch.delenv("SIGHTD_MODEL_MIRROR", raising=False)
    return found


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "models"


def sightd(directory: Path, action: str, *arguments: str) -> int:
    parser = argparse.ArgumentParser()
    models.add(parser.add_subparsers())
    typed = parser.parse_args(["models", action, "--directory", str(directory), *arguments])
    code: int = typed.run(typed)
    return code


def test_fetch_stores_a_network_and_list_shows_it(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sightd(directory, "fetch", "small") == 0
    assert "sha256 matches the pin" in capsys.readouterr().out
    assert sightd(directory, "list") == 0
    rows = {line.split()[0]: line.split()[1] for line in capsys.readouterr().out.splitlines()}
    assert rows["small"] != "-"
    assert rows["gone"] == "-"


def test_fetch_goes_on_after_a_failure_and_tells_it_by_its_exit_code(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sightd(directory, "fetch", "gone", "small") == 1
    told = capsys.readouterr()
    assert "404" in told.err
    assert "small.onnx" in told.out


def test_first_takes_the_next_if_one_is_not_available_and_says_why(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sightd(directory, "fetch", "--first", "gone", "small", "new") == 0
    told = capsys.readouterr()
    assert "gone: not available here (127.0.0.1: the server answered 404 Not Found); trying small\n" in told.err
    assert "Without internet access" not in told.err
    assert not (directory / "new.onnx").exists()


def test_first_is_satisfied_without_the_network_by_any_that_is_stored(directory: Path, server: FileServer) -> None:
    assert sightd(directory, "fetch", "small") == 0
    server.requests.clear()
    assert sightd(directory, "fetch", "--first", "gone", "small") == 0
    assert server.requests == []


def test_first_takes_a_better_one_than_the_stored_from_the_mirror_folder_without_the_network(
    directory: Path, server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sightd(directory, "fetch", "new") == 0
    server.requests.clear()
    mirror = tmp_path / "usb"
    mirror.mkdir()
    (mirror / "small.onnx").write_bytes(server.files["/small.onnx"])
    assert sightd(directory, "fetch", "--first", "--mirror", str(mirror), "gone", "small", "new") == 0
    assert "small: " in capsys.readouterr().out
    assert (directory / "small.onnx").exists()
    assert server.requests == []


def test_first_stays_with_the_stored_one_where_the_mirror_folder_holds_other_bytes(
    directory: Path, server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sightd(directory, "fetch", "small") == 0
    server.requests.clear()
    (tmp_path / "gone.onnx").write_bytes(b"other bytes")
    assert sightd(directory, "fetch", "--first", "--mirror", str(tmp_path), "gone", "small") == 0
    told = capsys.readouterr()
    assert "gone: not available in the mirror folder" in told.err
    assert "small: stored in" in told.out
    assert server.requests == []


def test_first_fails_if_none_is_available_and_only_then_gives_its_advice(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sightd(directory, "fetch", "--first", "gone") == 1
    told = capsys.readouterr().err
    assert told.startswith("sightd: gone could not be downloaded from its source:\n")
    assert "mirror folder" in told


def test_a_learnt_hash_is_said_to_be_learnt(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sightd(directory, "fetch", "new") == 0
    assert "recorded at first download, not pinned" in capsys.readouterr().out
    assert sightd(directory, "info", "new") == 0
    assert "not pinned: recorded at the first download" in capsys.readouterr().out


def test_a_mirror_folder_can_be_named(directory: Path, server: FileServer, tmp_path: Path) -> None:
    mirror = tmp_path / "usb"
    mirror.mkdir()
    (mirror / "small.onnx").write_bytes(server.files["/small.onnx"])
    assert sightd(directory, "fetch", "--mirror", str(mirror), "small") == 0
    assert server.requests == []


def test_verify_runs_what_is_stored_and_tells_damage(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sightd(directory, "fetch", "small")
    assert sightd(directory, "verify") == 0
    assert "small: unchanged and runs" in capsys.readouterr().out
    (directory / "small.onnx").write_bytes(b"damaged")
    assert sightd(directory, "verify") == 1
    assert "changed or damaged" in capsys.readouterr().err


def test_verify_of_a_network_that_is_not_stored_fails(directory: Path) -> None:
    assert sightd(directory, "verify", "small") == 1


def test_an_unknown_name_is_a_usage_error(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sightd(directory, "fetch", "smal") == 2
    assert 'did you mean "small"' in capsys.readouterr().err
