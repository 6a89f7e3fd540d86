"""Sources are tried in order: URL, package, mirror folder; and the message if none of them works."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sightd.engines.errors import EngineError, ModelUnavailableError, StorageError
from sightd.engines.files import locked
from sightd.engines.model import MirrorSource, Source, UrlSource
from sightd.engines.models.fetch import Fetcher
from sightd.engines.progress import silent
from tests.support import wheels
from tests.support.http_files import FileServer, file_server
from tests.support.small_disk import SmallDisk

BODY = b"network" * 100
OTHER_EXPORT = b"another export"


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server() as state:
        state.files["/net.onnx"] = BODY
        yield state


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    folder = tmp_path / "mirror"
    folder.mkdir()
    return folder


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def pinned(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def at(server: FileServer, body: bytes = BODY) -> UrlSource:
    return UrlSource(server.url("/net.onnx"), pinned(body), len(body))


def unreachable() -> UrlSource:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return UrlSource(f"http://127.0.0.1:{free.getsockname()[1]}/net.onnx", pinned(BODY), len(BODY))


MIRRORED = MirrorSource("net.onnx", pinned(OTHER_EXPORT), len(OTHER_EXPORT))


def test_the_first_source_that_answers_is_taken(server: FileServer, scratch: Path) -> None:
    fetched = Fetcher(silent).fetch("net", [at(server), MIRRORED], scratch)
    assert fetched.path.read_bytes() == BODY
    assert fetched.origin == "127.0.0.1"
    assert not fetched.learnt


def test_a_package_stands_in_for_an_address_that_is_down(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = wheels.offer(tmp_path, BODY, monkeypatch)
    fetched = Fetcher(silent).fetch("net", [unreachable(), package], scratch)
    assert fetched.path.read_bytes() == BODY
    assert fetched.origin == "package tiny-models 1.2.3"


def test_a_source_that_gives_other_bytes_is_passed_over(server: FileServer, scratch: Path, mirror: Path) -> None:
    server.files["/net.onnx"] = b"forged"
    (mirror / "net.onnx").write_bytes(OTHER_EXPORT)
    fetched = Fetcher(silent, mirror).fetch("net", [at(server), MIRRORED], scratch)
    assert fetched.path.read_bytes() == OTHER_EXPORT
    assert server.requests == ["/net.onnx"]


def test_the_very_bytes_in_the_mirror_folder_save_the_way_to_the_source(
    server: FileServer, scratch: Path, mirror: Path
) -> None:
    (mirror / "net.onnx").write_bytes(BODY)
    fetched = Fetcher(silent, mirror).fetch("net", [at(server)], scratch)
    assert fetched.origin == f"mirror folder {mirror}"
    assert server.requests == []


def test_a_file_of_a_package_may_lie_in_the_mirror_folder_by_its_base_name(
    tmp_path: Path, scratch: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = wheels.offer(tmp_path, BODY, monkeypatch)
    (mirror / "net.bin").write_bytes(BODY)
    wheels.only(mirror, monkeypatch)
    assert Fetcher(silent, mirror).fetch("net", [package], scratch).path.read_bytes() == BODY


def test_without_a_pin_the_hash_is_learnt_and_said_so(server: FileServer, scratch: Path) -> None:
    fetched = Fetcher(silent).fetch("net", [replace(at(server), sha256="", size=0)], scratch)
    assert fetched.learnt
    assert fetched.digest.sha256 == pinned(BODY)


def test_what_was_learnt_is_a_pin_from_then_on(server: FileServer, scratch: Path) -> None:
    source = replace(at(server), sha256="", size=0)
    with pytest.raises(ModelUnavailableError, match="rejected"):
        Fetcher(silent).fetch("net", [source], scratch, learnt=pinned(b"earlier bytes"))
    assert not Fetcher(silent).fetch("net", [source], scratch, learnt=pinned(BODY)).learnt


def test_a_file_larger_than_allowed_is_not_asked_for(server: FileServer, scratch: Path) -> None:
    with pytest.raises(ModelUnavailableError, match="700 bytes exceed the limit of 100"):
        Fetcher(silent, max_download=100).fetch("net", [at(server)], scratch)
    assert server.requests == []


def test_when_nothing_helps_each_source_is_named_with_its_reason_and_the_way_out(
    server: FileServer, scratch: Path, mirror: Path
) -> None:
    sources: list[Source] = [unreachable(), replace(at(server), url=server.url("/gone.onnx")), MIRRORED]
    with pytest.raises(ModelUnavailableError) as caught:
        Fetcher(silent, mirror).fetch("net", sources, scratch)
    text = str(caught.value)
    assert "refused" in text
    assert "404" in text
    assert "it does not contain net.onnx" in text
    assert f"put gone.onnx or net.onnx into the mirror folder {mirror}" in text
    assert "SIGHTD_MODEL_MIRROR" in text


def test_the_summary_says_in_a_few_words_what_was_in_the_way(server: FileServer, scratch: Path, mirror: Path) -> None:
    gone = replace(at(server), url=server.url("/gone.onnx"))
    cases: list[tuple[list[Source], str]] = [
        ([unreachable(), MIRRORED], "no way to 127.0.0.1"),
        ([gone], "127.0.0.1: the server answered 404 Not Found"),
        ([MIRRORED], "not in the mirror folder"),
    ]
    for sources, summary in cases:
        with pytest.raises(ModelUnavailableError) as caught:
            Fetcher(silent, mirror).fetch("net", sources, scratch)
        assert caught.value.summary == summary


def test_a_mirror_folder_that_is_not_there_is_reported(scratch: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError, match="no such folder"):
        Fetcher(silent, tmp_path / "nowhere").fetch("net", [MIRRORED], scratch)


@pytest.mark.parametrize("kind", ["url", "package", "mirror"])
def test_a_full_disk_is_no_fault_of_a_source(
    server: FileServer, mirror: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next source is not tried, and the message does not suggest another one."""
    sources: dict[str, Source] = {"url": at(server), "mirror": MirrorSource("net.onnx", pinned(BODY), len(BODY))}
    (mirror / "net.onnx").write_bytes(BODY)
    (tmp_path / "registry").mkdir()
    sources["package"] = wheels.offer(tmp_path / "registry", BODY, monkeypatch)
    with SmallDisk(tmp_path / "disk", 1) as disk:
        folder = disk.path / "scratch"
        folder.mkdir()
        disk.fill()
        fetcher = Fetcher(silent, mirror if kind == "mirror" else None)
        with pytest.raises(StorageError, match="No space left on device"):
            fetcher.fetch("net", [sources[kind], unreachable()], folder)


def test_a_full_disk_is_named_with_the_folder(server: FileServer, tmp_path: Path) -> None:
    with SmallDisk(tmp_path / "disk", 1) as disk:
        disk.fill()
        with (
            pytest.raises(
                EngineError, match=r"net cannot be stored in .*disk: No space left on device\. Free disk space"
            ),
            locked(disk.path / ".lock", "net"),
        ):
            Fetcher(silent).fetch("net", [at(server)], disk.path)
