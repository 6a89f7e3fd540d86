"""Clients that the web server does not wait for, and clients that it has no room for."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest
from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import StreamingResponse

from sightd.daemon.config.model import Http
from sightd.daemon.serve.http.server import HttpServer
from sightd.daemon.serve.limits import ViewerLimit
from tests.support.waiting import eventually
from tests.support.websocket import WebSocketClient

PATIENCE = 1.0


class Service:
    """A web server that measures bodies; `refused` counts its rejections by reason."""

    def __init__(self, options: Http) -> None:
        self.refused: Counter[str] = Counter()
        app = FastAPI()
        app.state.viewer_limit = ViewerLimit(1)
        self.failures: list[Exception] = []

        @app.post("/measure")
        async def measure(request: Request) -> int:
            try:
                return len(await request.body())
            except Exception as error:
                self.failures.append(error)
                raise

        @app.get("/endless")
        async def endless() -> StreamingResponse:
            async def pieces() -> AsyncIterator[bytes]:
                while True:
                    yield b"piece"
                    await asyncio.sleep(0.01)

            return StreamingResponse(pieces())

        @app.websocket("/socket")
        async def socket(websocket: WebSocket) -> None:
            await websocket.accept()
            await asyncio.sleep(1.5 * PATIENCE)
            await websocket.send_json({"still": "there"})

        self.server = HttpServer(options, app, lambda reason: self.refused.update([reason]))
        self.server.start()

    def connect(self, source: str = "127.0.0.1") -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.server.port), 10, source_address=(source, 0))

    def answers(self, source: str = "127.0.0.1") -> bool:
        transport = httpx.HTTPTransport(local_address=source)
        try:
            with httpx.Client(transport=transport) as client:
                return bool(client.post(f"http://127.0.0.1:{self.server.port}/measure", content=b"four").json() == 4)
        except httpx.TransportError:
            return False


Serve = Callable[..., Service]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts a server with a timeout of only PATIENCE s."""
    monkeypatch.setattr("sightd.daemon.serve.http.connection.PATIENCE", PATIENCE)
    with ExitStack() as running:

        def start(**options: int) -> Service:
            service = Service(Http.model_validate({"port": 0, **options}))
            running.callback(service.server.close)
            return service

        yield start


@contextmanager
def ends_within(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


def until_closed(connection: socket.socket) -> bytes:
    told = b""
    try:
        while data := connection.recv(4096):
            told += data
    except ConnectionResetError:
        pass
    return told


def answer_from(connection: socket.socket) -> bytes:
    """Returns a complete response with a body of a few bytes."""
    told = b""
    while not told.partition(b"\r\n\r\n")[2]:
        told += connection.recv(4096)
    return told


HEAD = b"POST /measure HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"


@pytest.mark.parametrize("sent", [b"", b"G", b"POST /measure HTTP/1.1\r\nHost: x\r\nX: "])
def test_a_head_that_does_not_come_is_answered_with_408(serve: Serve, sent: bytes) -> None:
    service = serve()
    with service.connect() as connection, ends_within(8 * PATIENCE):
        connection.sendall(sent)
        assert until_closed(connection).startswith(b"HTTP/1.1 408")
    assert service.refused == {"slow": 1}


def test_a_head_that_trickles_is_answered_with_408(serve: Serve) -> None:
    service = serve()
    with service.connect() as connection, ends_within(8 * PATIENCE):
        connection.settimeout(0.2)
        connection.sendall(b"GET / HTTP/1.1\r\n")
        told = b""
        while not told:
            connection.sendall(b"X: y\r\n")
            try:
                told = connection.recv(4096)
            except TimeoutError:
                continue
    assert told.startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("piece", [b"", b"x"])
def test_a_body_that_trickles_is_cut_off_and_no_fault_of_the_servers(
    serve: Serve, piece: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    service = serve()
    with service.connect() as connection, ends_within(8 * PATIENCE):
        connection.settimeout(0.2)
        connection.sendall(HEAD)
        while True:
            try:
                connection.sendall(piece)
                if not connection.recv(4096):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
    eventually(lambda: service.refused == {"slow": 1})
    eventually(lambda: bool(service.failures), what="the handler noticing that its client left")
    service.server.close()
    assert "Traceback" not in caplog.text


def test_a_body_that_takes_long_but_comes_is_waited_for(serve: Serve) -> None:
    service = serve()
    with service.connect() as connection:
        connection.sendall(HEAD.replace(b"1000000", b"60000"))
        for _ in range(30):
            connection.sendall(b"x" * 2000)
            time.sleep(PATIENCE / 15)
        assert answer_from(connection).startswith(b"HTTP/1.1 200")
    assert not service.refused


def test_a_second_request_has_its_own_time(serve: Serve) -> None:
    service = serve()
    request = HEAD.replace(b"1000000", b"4") + b"four"
    with service.connect() as connection:
        for _ in range(5):
            connection.sendall(request[:10])
            time.sleep(0.3 * PATIENCE)
            connection.sendall(request[10:])
            assert answer_from(connection).startswith(b"HTTP/1.1 200")
    assert not service.refused


def test_what_is_not_http_is_answered_with_400_and_counted_without_a_line_for_each(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    service = serve()
    for _ in range(20):
        with service.connect() as connection:
            connection.sendall(b"\x16\x03\x01\x02\x00\r\n\r\n")
            assert until_closed(connection).startswith(b"HTTP/1.1 400")
    assert service.refused == {"invalid": 20}
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("route", ["GET /endless", "POST /measure", "GET /nothing"])
def test_a_body_that_turns_into_nonsense_ends_the_answer_and_is_no_fault_of_the_servers(
    serve: Serve, route: str, caplog: pytest.LogCaptureFixture
) -> None:
    service = serve()
    head = f"{route} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n".encode()
    for begun in (head, head + b"nonsense\r\n"):
        with service.connect() as connection, ends_within(8 * PATIENCE):
            connection.sendall(begun)
            if begun == head and "endless" in route:
                assert connection.recv(4096).startswith(b"HTTP/1.1 200")
            connection.sendall(b"nonsense\r\n")
            until_closed(connection)
    eventually(lambda: service.refused["invalid"] >= 1)
    service.server.close()
    assert "Traceback" not in caplog.text


def test_one_address_too_often_is_closed_and_another_is_served(serve: Serve) -> None:
    service = serve(max_connections_per_address=3)
    with ExitStack() as held:
        for _ in range(3):
            held.enter_context(service.connect("127.0.0.2"))
        assert until_closed(held.enter_context(service.connect("127.0.0.2"))) == b""
        assert not service.answers("127.0.0.2")
        assert service.answers("127.0.0.3")
    eventually(lambda: service.answers("127.0.0.2"))
    assert service.refused.keys() - {"slow"} == {"address"}  # a busy machine finds those that are silent slow, too


def test_no_more_than_all_places_are_taken_and_each_is_given_back(serve: Serve) -> None:
    service = serve(max_connections=4)
    with ExitStack() as held:
        for last in range(4):
            held.enter_context(service.connect(f"127.0.0.{2 + last}"))
        assert not service.answers("127.0.0.9")
    eventually(lambda: service.answers("127.0.0.9"))
    assert set(service.refused) - {"slow"} == {"total"}
    eventually(lambda: service.server._limiter._inside.total() == 0)
    with ExitStack() as held:
        for _ in range(4):
            held.enter_context(service.connect())
        eventually(lambda: service.answers("127.0.0.9"), what="silent connections ended")
    eventually(lambda: service.refused["slow"] > 0)


def test_a_websocket_may_be_silent_for_longer_than_a_request(serve: Serve) -> None:
    service = serve()
    with WebSocketClient(("127.0.0.1", service.server.port), "/socket") as client:
        assert client.receive() == {"still": "there"}
    assert not service.refused
