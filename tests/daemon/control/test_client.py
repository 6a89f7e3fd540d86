"""The client trusts nothing: certificates, sizes, times, and the content of responses."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from sightd.daemon.config.model import Http
from sightd.daemon.control.client import (
    Client,
    ControlError,
    DeniedError,
    LateError,
    NoDaemonError,
    SocketEndpoint,
    url_endpoint,
)
from sightd.daemon.serve.http.app import create_app
from sightd.daemon.serve.http.server import HttpServer
from sightd.plugins.api import ApiError, UsageError
from tests.daemon.serve.http.test_app import View
from tests.support.access import NO_TOKENS
from tests.support.certificates import self_signed

Answering = Callable[[bytes], Client]


@pytest.fixture
def answering(tmp_path: Path) -> Iterator[Answering]:
    """A server on a Unix socket that sends the given bytes to each client and closes; without bytes it stays silent."""
    opened: list[socket.socket] = []

    def start(data: bytes) -> Client:
        listening = socket.socket(socket.AF_UNIX)
        opened.append(listening)
        listening.bind(str(tmp_path / "daemon.sock"))
        listening.listen()

        def serve() -> None:
            connection, _ = listening.accept()
            opened.append(connection)
            connection.recv(65536)
            if data:
                with suppress(OSError):  # a client may close once it has read enough
                    connection.sendall(data)
                    connection.shutdown(socket.SHUT_WR)

        threading.Thread(target=serve, daemon=True).start()
        return Client(SocketEndpoint(tmp_path / "daemon.sock"))

    yield start
    for one in opened:
        one.close()


def answer(status: str, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def test_a_certificate_is_verified_by_the_authorities_that_are_named(tmp_path: Path) -> None:
    pair = self_signed(tmp_path)
    app = create_app(View(), lambda _: (b"", "text/plain"), 1, NO_TOKENS)
    server = HttpServer(Http.model_validate({"port": 0, "tls": pair}), app)
    server.start()
    try:
        url = f"https://127.0.0.1:{server.port}"
        with pytest.raises(NoDaemonError, match=r"certificate is not trusted: .*\(--ca-file FILE\)"):
            Client(url_endpoint(url, None, None)).json("GET", "/readyz")
        trusted = Client(url_endpoint(url, None, Path(pair["certificate"])))
        assert trusted.json("GET", "/readyz")["ready"] is True
        named = Client(url_endpoint(f"https://localhost:{server.port}", None, Path(pair["certificate"])))
        with pytest.raises(NoDaemonError, match="not trusted"):
            named.json("GET", "/readyz")
    finally:
        server.close()


def test_the_token_is_in_no_text() -> None:
    endpoint = url_endpoint("https://box:8443/cameras/", "very-secret-token", None)
    assert (str(endpoint), "very-secret" in repr(endpoint)) == ("https://box:8443/cameras", False)
    with pytest.raises(UsageError) as error:
        url_endpoint("https://user:very-secret@box", None, None)
    assert "very-secret" not in str(error.value)


def test_a_redirect_is_not_followed(answering: Answering) -> None:
    with pytest.raises(ApiError, match="HTTP status 302"):
        answering(answer("302 Found", b"", "Location: http://elsewhere/")).json("GET", "/api/v1/faces")


def test_an_answer_that_is_too_large_is_given_up(answering: Answering) -> None:
    client = answering(answer("200 OK", b"x" * (3 << 20)))
    with pytest.raises(ControlError, match="more than 1 MiB"):
        client.request("GET", "/", most=1 << 20)


def test_a_long_line_of_an_endless_answer_is_one_line(answering: Answering) -> None:
    long = "x" * 200_000
    client = answering(f"HTTP/1.1 200 OK\r\n\r\n{long}\nshort\nlast".encode())
    with client.lines("/") as lines:
        assert list(lines) == [long, "short", "last"]


def test_a_line_that_does_not_end_is_given_up(answering: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightd.daemon.control.client._MOST_LINE", 1 << 20)
    client = answering(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (3 << 20))
    with client.lines("/") as lines, pytest.raises(ControlError, match="a line of more than 1 MiB"):
        next(lines)


def test_who_does_not_answer_is_given_up(answering: Answering) -> None:
    with pytest.raises(LateError, match="did not answer in time"):
        answering(b"").json("GET", "/", timeout=0.2)


def test_an_answer_that_ends_early_is_none(answering: Answering) -> None:
    with pytest.raises(NoDaemonError, match="no sightd daemon answers"):
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n[1").json("GET", "/")


@pytest.mark.parametrize("data", [b"nonsense\r\n\r\n", b"SSH-2.0-OpenSSH\r\n"])
def test_what_is_not_http_is_no_daemon(data: bytes, answering: Answering) -> None:
    with pytest.raises(NoDaemonError, match="no sightd daemon answers"):
        answering(data).json("GET", "/")


def test_another_program_that_speaks_http_is_recognised(answering: Answering) -> None:
    with pytest.raises(ControlError, match="did not answer with JSON"):
        answering(answer("200 OK", b"<html>")).json("GET", "/")


@pytest.mark.parametrize(
    ("status", "body", "kind", "told"),
    [
        ("422 X", b'{"error": "no \\u001b[31mface"}', ApiError, r"no \\x1b\[31mface"),
        ("409 X", b'{"detail": "a:1: bad\\nb:2: worse"}', ApiError, "a:1: bad\nb:2: worse"),
        ("422 X", b'{"detail": [{"msg": "too long"}]}', ApiError, "too long"),
        ("403 X", b'{"detail": "user 7 has no role"}', DeniedError, "user 7 has no role"),
        ("401 X", b"[]", DeniedError, "HTTP status 401"),
        ("500 X", b"Internal", ApiError, "HTTP status 500"),
    ],
)
def test_what_went_wrong_is_reported_without_terminal_control(
    status: str, body: bytes, kind: type[Exception], told: str, answering: Answering
) -> None:
    with pytest.raises(kind, match=told):
        answering(answer(status, body)).json("GET", "/")
