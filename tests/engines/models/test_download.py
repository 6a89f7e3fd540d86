"""Downloads from a real server that behaves well or badly."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sightd.engines.errors import EngineError, HashMismatchError, UnreachableError
from sightd.engines.models import pace
from sightd.engines.models.fetch import download
from sightd.engines.progress import silent
from tests.support.certificates import self_signed
from tests.support.http_files import FileServer, file_server

BODY = bytes(range(256)) * 4096
PIN = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server() as state:
        state.files["/net.onnx"] = BODY
        yield state


def get(server: FileServer, target: Path, path: str = "/net.onnx", sha256: str = PIN, limit: int = len(BODY)) -> str:
    return download(server.url(path), target, sha256=sha256, limit=limit, task="net", progress=silent).sha256


def test_over_tls_only_a_server_with_a_trusted_certificate_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = self_signed(tmp_path)
    with file_server(tls) as server:
        server.files["/net.onnx"] = BODY
        with pytest.raises(UnreachableError, match="certificate verify failed"):
            get(server, tmp_path / "net.onnx")
        monkeypatch.setenv("SSL_CERT_FILE", tls["certificate"])
        assert get(server, tmp_path / "net.onnx") == PIN
    assert server.requests == ["/net.onnx"]


def test_a_pinned_file_arrives_and_its_progress_is_reported(server: FileServer, tmp_path: Path) -> None:
    told: list[tuple[str, int, int | None]] = []
    digest = download(
        server.url("/net.onnx"), tmp_path / "net", sha256=PIN, limit=len(BODY), task="net",
        progress=lambda task, done, total: told.append((task, done, total)),
    )  # fmt: skip
    assert (tmp_path / "net").read_bytes() == BODY
    assert (digest.sha256, digest.size) == (PIN, len(BODY))
    assert told[-1] == ("net", len(BODY), len(BODY))
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)


def test_other_bytes_than_the_pinned_ones_are_refused(server: FileServer, tmp_path: Path) -> None:
    server.files["/net.onnx"] = b"x" + BODY[1:]
    with pytest.raises(HashMismatchError, match=f"but {PIN} is pinned"):
        get(server, tmp_path / "net")


def test_without_a_pin_any_bytes_are_taken(server: FileServer, tmp_path: Path) -> None:
    assert get(server, tmp_path / "net", sha256="") == PIN


def test_a_missing_file_is_reported_by_the_servers_answer(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="404"):
        get(server, tmp_path / "net", "/other")


def test_a_download_that_breaks_off_is_not_taken_for_the_file(server: FileServer, tmp_path: Path) -> None:
    server.cut = 1000
    with pytest.raises(EngineError, match=r"stopped after 1,000 of 1,048,576 bytes"):
        get(server, tmp_path / "net", sha256="")


def test_a_file_announced_too_large_is_not_downloaded(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="announces 1,048,576 bytes"):
        get(server, tmp_path / "net", limit=1000)
    assert not (tmp_path / "net").exists()


@pytest.mark.parametrize("part", ["headers", "body"])
def test_a_server_that_sends_byte_after_byte_is_given_up(
    server: FileServer, tmp_path: Path, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.drip = (part, 0.01)
    assert get(server, tmp_path / "net") == PIN, "slow for a second is not too slow"
    monkeypatch.setattr(pace, "GRACE", 0.5)
    monkeypatch.setattr(pace, "LEAST_RATE", 1 << 20)
    with pytest.raises(EngineError, match=r"too slow: [\d,]+ bytes in \d+ s, at least 1,048,576 bytes/s"):
        get(server, tmp_path / "net")


def test_a_server_that_does_not_say_how_much_it_sends_is_stopped_at_the_limit(
    server: FileServer, tmp_path: Path
) -> None:
    server.without_length = True
    with pytest.raises(EngineError, match="exceeds the limit of 300,000 bytes"):
        get(server, tmp_path / "net", limit=300_000)
    assert (tmp_path / "net").stat().st_size <= 300_000


def test_nobody_at_the_address_is_an_error_at_once(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(EngineError, match="refused"):
        download(f"http://127.0.0.1:{port}/", tmp_path / "n", sha256="", limit=1, task="n", progress=silent)


class StopError(Exception):
    pass


def test_progress_may_stop_the_work(server: FileServer, tmp_path: Path) -> None:
    def stop(task: str, done: int, total: int | None) -> None:
        raise StopError

    with pytest.raises(StopError):
        download(server.url("/net.onnx"), tmp_path / "n", sha256="", limit=len(BODY), task="n", progress=stop)
