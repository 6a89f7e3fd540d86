"""Results of analysed frames over HTTP: server-sent events, WebSockets, and the next frame once."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.requests import HTTPConnection
from uvicorn.server import ServerState
from wsproto import ConnectionType, WSConnection, events

from sightd.daemon.config.model import Access as AccessOptions
from sightd.daemon.config.model import Http
from sightd.daemon.serve.auth import Access
from sightd.daemon.serve.http import routes_live as served
from sightd.daemon.serve.http import server as server_module
from sightd.daemon.serve.http.app import create_app
from sightd.daemon.serve.http.origin import is_own_page
from sightd.daemon.serve.http.server import HttpServer
from sightd.daemon.serve.http.websocket import WebSocketConnection
from sightd.daemon.serve.live_results import LiveResults
from sightd.plugins.api import Results
from tests.daemon.pipeline.plugins import found, frame
from tests.daemon.serve.http.test_app import View
from tests.support.access import NO_TOKENS
from tests.support.waiting import eventually
from tests.support.websocket import WebSocketClient

pytestmark = pytest.mark.waiting

TOKEN = "a-token-of-somebody-to-view"
ROUTE = "/api/v1/stream"


class Live:
    """A server of results, and a thread that publishes frames of the camera "front" without end."""

    def __init__(self, access: Access = NO_TOKENS) -> None:
        self.results, self.refused = LiveResults(), list[str]()
        app = create_app(View(), lambda _: (b"", "text/plain"), 8, access, live=self.results)
        self.server = HttpServer(Http(port=0), app)
        self.server.start()
        self.address = ("127.0.0.1", self.server.port)
        self.url = f"http://127.0.0.1:{self.server.port}"
        self.objects = 1
        self.publishing = True
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._publish)
        self._thread.start()

    @property
    def readers(self) -> int:
        return len(self.results._readers)

    def socket(self, query: str = "", headers: Mapping[str, str] | None = None, host: str = "") -> WebSocketClient:
        return WebSocketClient(self.address, ROUTE + query, (headers or {}).items(), host=host)

    def close(self) -> None:
        self._stop.set()
        self._thread.join(5)
        self.server.close()

    def _publish(self) -> None:
        number = 0
        while not self._stop.wait(0.01):
            number += 1
            if self.publishing:
                self.results.publish(frame("front", number), Results(found(self.objects)))


@contextmanager
def live_server(access: Access = NO_TOKENS) -> Iterator[Live]:
    one = Live(access)
    try:
        yield one
    finally:
        one.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[Live]:
    with live_server() as one:
        yield one


@pytest.fixture
def live() -> Iterator[Live]:
    with live_server() as one:
        yield one


@pytest.fixture(scope="module")
def guarded() -> Iterator[Live]:
    with live_server(
        Access(AccessOptions.model_validate({"tokens": {"wall": {"role": "view", "token": TOKEN}}}))
    ) as one:
        yield one


def sent_events(url: str, count: int) -> list[dict[str, Any]]:
    """Returns the first messages of a stream of server-sent events."""
    messages: list[dict[str, Any]] = []
    with httpx.stream("GET", url, timeout=20) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line.startswith("data: "):
                messages.append(json.loads(line.removeprefix("data: ")))
            if len(messages) == count:
                return messages
    raise AssertionError("the stream ended")


def test_server_sent_events_are_records_in_order(shared: Live) -> None:
    messages = sent_events(f"{shared.url}{ROUTE}?rate=30&camera=front&key=detections", 4)
    assert [message["camera"] for message in messages] == ["front"] * 4
    assert [message["frame"] for message in messages] == sorted({message["frame"] for message in messages})
    assert messages[0]["detections"][0]["class"] == "x"
    eventually(lambda: shared.readers == 0, what="the reader that left is gone")


def test_a_web_socket_has_the_same_records(shared: Live) -> None:
    with shared.socket("?rate=30&key=detections") as client:
        first, second = client.receive(), client.receive()
    assert list(first) == ["camera", "time", "frame", "pts", "width", "height", "detections"]
    assert first["frame"] < second["frame"]
    eventually(lambda: shared.readers == 0, what="the reader that left is gone")


def test_the_next_frame_is_had_once(shared: Live) -> None:
    answer = httpx.get(f"{shared.url}/api/v1/cameras/front/results?key=detections")
    assert answer.headers["content-type"] == "application/json"
    assert len(answer.json()["detections"]) == 1
    assert shared.readers == 0


def test_if_no_frame_is_analysed_that_is_said(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "PATIENCE", 0.1)
    live.publishing = False
    answer = httpx.get(f"{live.url}/api/v1/cameras/front/results")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "was not analysed" in answer.json()["error"] or "analysed in time" in answer.json()["error"]


@pytest.mark.parametrize(
    ("query", "status", "told"),
    [
        ("?camera=front&camera=back", 404, "There is no camera 'back'"),
        ("?rate=0", 422, "greater than or equal to 0.1"),
        ("?rate=31", 422, "less than or equal to 30"),
        ("?rate=nan", 422, "rate"),
        ("?key=" + "x" * 64, 422, "at most 63 characters"),
        ("?" + "key=x&" * 33, 422, "at most 32 items"),
    ],
)
def test_what_cannot_be_read_is_refused_before_the_stream_begins(
    shared: Live, query: str, status: int, told: str
) -> None:
    answer = httpx.get(f"{shared.url}{ROUTE}{query}")
    assert answer.status_code == status
    assert told in answer.text
    with shared.socket(query) as client:
        assert client.status == status
        assert told in json.dumps(client.refusal())


def test_an_unknown_camera_has_no_results(shared: Live) -> None:
    assert httpx.get(f"{shared.url}/api/v1/cameras/back/results").status_code == 404


def test_there_are_so_many_readers_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "MOST_READERS", 2)
    with live_server() as live:
        with live.socket() as first, live.socket() as second:
            assert first.receive()["camera"] == second.receive()["camera"] == "front"
            with live.socket() as one_more:
                assert (one_more.status, one_more.headers["retry-after"]) == (503, "5")
                assert "All 2 streams of results are in use" in one_more.refusal()["error"]
            assert httpx.get(live.url + ROUTE).status_code == 503
            assert httpx.get(f"{live.url}/api/v1/cameras/front/results").status_code == 503
        eventually(lambda: live.readers == 0)
        assert sent_events(live.url + ROUTE, 1)


def test_a_client_that_does_not_read_gets_the_newest_later(live: Live) -> None:
    """The kernel and the server buffer some messages; what would follow is skipped."""
    live.objects = 1000
    with live.socket("?rate=30") as client:
        began = client.receive()["frame"]
        time.sleep(1.5)
        live.objects = 1
        behind = 0
        while len((message := client.receive())["detections"]) > 1:
            behind += 1
        assert message["frame"] - began > behind + 20


def test_silence_is_broken_by_comments_and_pings(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "HEARTBEAT", 0.05)
    live.publishing = False
    with httpx.stream("GET", live.url + ROUTE, timeout=20) as answer:
        lines = answer.iter_lines()
        assert [next(lines) for _ in range(5)] == [": results follow", "", ":", "", ":"]


def test_a_message_of_a_client_ends_the_web_socket(shared: Live) -> None:
    with shared.socket() as client:
        client.receive()
        client.send(events.TextMessage("subscribe"))
        assert client.wait_closed() == 1003
    with shared.socket() as client:
        client.receive()
        client.send(events.BytesMessage(b"x" * (server_module.MOST_MESSAGE + 1)))
        assert client.wait_closed() == 1009
    eventually(lambda: shared.readers == 0)


def test_a_client_s_ping_is_answered_and_its_close_ends_the_stream(shared: Live) -> None:
    with shared.socket() as client:
        client.receive()
        client.send(events.Ping(b"there?"))
        client.receive()
        client.send(events.CloseConnection(1000))
        assert client.wait_closed() == 1000
    eventually(lambda: shared.readers == 0)


class Pipe(asyncio.Transport):
    """A connection whose other end sends and never reads."""

    def __init__(self) -> None:
        super().__init__()
        self.written, self.aborted = list[bytes](), False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True

    def close(self) -> None:
        """Does nothing: the test ends the connection."""


async def connected(refused: Callable[[str, str], None]) -> tuple[WebSocketConnection, Pipe, WSConnection]:
    """Returns a server's end of a connection whose application reads, the transport below it, and the client's end."""

    async def accept(_scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass

    config = uvicorn.Config(accept, ws="none", log_config=None)
    config.load()
    one, pipe = WebSocketConnection(refused, config=config, server_state=ServerState(), app_state={}), Pipe()
    one.connection_made(pipe)
    client = WSConnection(ConnectionType.CLIENT)
    one.data_received(client.send(events.Request(host="localhost", target=ROUTE)))
    await asyncio.sleep(0)
    client.receive_data(b"".join(pipe.written))
    assert [type(event) for event in client.events()] == [events.AcceptConnection]
    return one, pipe, client


def test_a_client_that_pings_and_never_reads_is_disconnected() -> None:
    """The answers would fill the memory."""

    async def ping() -> list[int]:
        one, pipe, client = await connected(print)
        lengths = []
        for paused in (False, True):
            pipe.written.clear()
            if paused:
                one.pause_writing()
            one.data_received(client.send(events.Ping(b"there?")))
            lengths.append(len(pipe.written))
        assert pipe.aborted
        one.connection_lost(None)
        return lengths

    assert asyncio.run(ping()) == [1, 0]


@pytest.mark.parametrize(
    "frame", [events.TextMessage("", message_finished=False), events.Pong(b"here")], ids=["empty fragments", "pongs"]
)
def test_a_client_that_sends_frames_without_end_is_cut_off(frame: events.Event) -> None:
    refused = list[str]()

    async def flood() -> int:
        one, pipe, client = await connected(lambda reason, _address: refused.append(reason))
        sent = 0
        while not pipe.aborted and sent < 10_000:
            one.data_received(client.send(frame))
            sent += 1
        one.data_received(client.send(frame))
        one.connection_lost(None)
        return sent

    assert 100 < asyncio.run(flood()) < 10_000
    assert refused == ["flood"]


def test_readers_are_told_when_the_server_stops() -> None:
    one = Live()
    with one.socket() as client:
        client.receive()
        one.close()
        assert client.wait_closed() == 1001


FOREIGN = [
    "https://evil.example",
    "http://127.0.0.1.evil.example",
    "http://127.0.0.1:1",
    "null",
    "file://",
    "",
]


@pytest.mark.parametrize("origin", FOREIGN)
def test_a_foreign_page_opens_no_web_socket(shared: Live, guarded: Live, origin: str) -> None:
    """A browser sends the credentials that it knows, and lets any page connect: only the server can refuse it."""
    credentials = base64.b64encode(f"wall:{TOKEN}".encode()).decode()
    for one, headers in ((shared, {}), (guarded, {"Authorization": f"Basic {credentials}"})):
        with one.socket(headers={"Origin": origin, **headers}) as client:
            assert client.status == 403
            assert "other origins" in client.refusal()["detail"]
    assert shared.readers == guarded.readers == 0


@pytest.mark.parametrize(
    ("scheme", "host", "origin", "own"),
    [
        ("ws", "cam.example:8080", "http://cam.example:8080", True),
        ("ws", "CAM.example", "http://cam.EXAMPLE:80", True),
        ("ws", "cam.example", "https://cam.example", True),  # TLS ends at a proxy
        ("wss", "cam.example", "https://cam.example", True),
        ("wss", "cam.example:443", "https://cam.example", True),
        ("wss", "cam.example", "http://cam.example", False),
        ("wss", "cam.example:8443", "https://cam.example", False),
        ("ws", "cam.example:8080", "http://cam.example", False),
        ("ws", "cam.example", "http://cam.example@evil.example", False),
        ("ws", "[::1]:8080", "http://[::1]:8080", True),
        ("ws", "[::1]:8080", "http://[::1", False),
    ],
)
def test_an_origin_is_this_server_if_host_and_port_agree_and_no_tls_is_lost(
    scheme: str, host: str, origin: str, own: bool
) -> None:
    headers = [(b"host", host.encode()), (b"origin", origin.encode())]
    scope = {
        "type": "websocket",
        "scheme": scheme,
        "path": "/",
        "query_string": b"",
        "headers": headers,
        "server": None,
    }
    assert is_own_page(HTTPConnection(scope)) is own


def test_two_origins_are_foreign(shared: Live) -> None:
    headers = [("Origin", shared.url), ("Origin", "https://evil.example")]
    with WebSocketClient(shared.address, ROUTE, headers) as client:
        assert client.status == 403


def test_a_page_of_this_server_opens_one(shared: Live) -> None:
    with shared.socket(headers={"Origin": shared.url}) as client:
        assert client.receive()["camera"] == "front"
    with shared.socket(headers={"Origin": "http://localhost"}, host="localhost:80") as client:
        assert client.status == 101, "80 is the port of http"


def test_a_name_that_a_foreign_page_made_lead_here_opens_none(shared: Live) -> None:
    """DNS rebinding: origin and host agree, and are foreign."""
    with shared.socket(headers={"Origin": "http://evil.example"}, host="evil.example") as client:
        assert client.status == 403
        assert "127.0.0.1 and localhost" in client.refusal()["detail"]


@pytest.mark.parametrize("authorization", [None, "Bearer wrong-token", "Basic !!"])
def test_without_a_token_there_is_no_web_socket(guarded: Live, authorization: str | None) -> None:
    with guarded.socket(headers={} if authorization is None else {"Authorization": authorization}) as client:
        assert client.status == 401
        assert client.headers["www-authenticate"].startswith("Basic")
        assert client.headers["cache-control"] == "no-store"
    assert guarded.readers == 0


def test_a_token_opens_one(guarded: Live) -> None:
    with guarded.socket(headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        assert client.receive()["camera"] == "front"


def test_there_is_a_web_socket_at_no_other_path(shared: Live) -> None:
    for path in ("/", "/metrics", "/front.mjpg", "/api/v1/events/stream"):
        with WebSocketClient(shared.address, path) as client:
            assert client.status == 403


def test_what_is_no_web_socket_handshake_is_refused(shared: Live) -> None:
    with socket.create_connection(shared.address, timeout=10) as connection:
        head = f"GET {ROUTE} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        connection.sendall(f"{head}Sec-WebSocket-Version: 13\r\n\r\n".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 400")
    with socket.create_connection(shared.address, timeout=10) as connection:
        connection.sendall(f"{head}Sec-WebSocket-Extensions: \udc8a\r\n\r\n".encode(errors="surrogateescape"))
        assert connection.recv(4096) == b"", "headers that are not text"
