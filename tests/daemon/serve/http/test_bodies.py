"""No request body stalls the web server: its size is limited before it is parsed, outside the event loop."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from prometheus_client import CollectorRegistry

from sightd.daemon.config.diff import ConfigDiff
from sightd.daemon.config.model import Http
from sightd.daemon.metrics.registry import Metrics
from sightd.daemon.serve.http import bodies
from sightd.daemon.serve.http.app import create_app
from sightd.daemon.serve.http.bodies import JsonRoute
from sightd.daemon.serve.http.server import HttpServer
from sightd.plugins.face.service import FaceService
from tests.daemon.serve.http.test_app import View
from tests.support.access import NO_TOKENS
from tests.support.face_services import open_test_face_service, with_face_routes

pytestmark = pytest.mark.waiting

CHANGES = {"X-Sightd": "1"}
FLOOD = b'{"a":"","b":"","c":[' + b"{}," * 7_000_000 + b"1]}"
"""20 MB that become seven million objects."""


@pytest.fixture
def face_service(tmp_path: Path) -> Iterator[FaceService]:
    opened = open_test_face_service(tmp_path / "faces.db")
    yield opened
    opened.close()


@pytest.fixture
def app(face_service: FaceService) -> FastAPI:
    metrics = Metrics(CollectorRegistry(), "1.2.3")
    reloaded: Future[ConfigDiff] = Future()
    app = create_app(View(), metrics.exposition, 1, NO_TOKENS, lambda: reloaded)
    return with_face_routes(app, face_service, NO_TOKENS)


@pytest.fixture
def client(app: FastAPI) -> Iterator[httpx.Client]:
    server = HttpServer(Http(port=0), app)
    server.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", headers=CHANGES, timeout=30) as client:
        yield client
    server.close()


def test_the_server_answers_others_while_a_body_is_parsed(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsing, go_on = threading.Event(), threading.Event()
    parse = bodies.parsed

    def parse_slowly(body: bytes) -> Any:
        parsing.set()
        assert go_on.wait(30)
        return parse(body)

    monkeypatch.setattr(bodies, "parsed", parse_slowly)
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(client.patch, "/api/v1/faces/Ada", json={"name": "Eve"})
        try:
            assert parsing.wait(30)
            assert client.get("/healthz").status_code == 200
        finally:
            go_on.set()
        assert answer.result(30).status_code == 404


def test_others_are_answered_while_an_answer_is_rendered(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    rendering, go_on = threading.Event(), threading.Event()

    class Slow(JSONResponse):
        def render(self, content: Any) -> bytes:
            rendering.set()
            assert go_on.wait(30)
            return super().render(content)

    monkeypatch.setattr(bodies, "JSONResponse", Slow)
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(client.get, "/api/v1/faces")
        try:
            assert rendering.wait(30)
            assert client.get("/healthz").status_code == 200
        finally:
            go_on.set()
        assert answer.result(30).json() == []


@pytest.mark.parametrize("path", ["compare-faces", "import-faces"])
def test_millions_of_values_are_refused_before_any_of_them_is_made(
    path: str, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "from_json", pytest.fail)
    monkeypatch.setattr("sightd.plugins.face.routes.imported", pytest.fail)
    answer = client.post(f"/api/v1/{path}", content=FLOOD, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert "more than" in answer.json()["detail"]


@pytest.mark.parametrize(
    "body", [b"[" * 5_000, b'{"a":' * 4_000, b"{", b'{"name": NaN}', b"\xff", b""], ids=lambda body: str(body[:8])
)
def test_what_is_no_json_of_bounded_depth_is_refused(body: bytes, client: httpx.Client) -> None:
    answer = client.patch("/api/v1/faces/Ada", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422


def test_an_announced_body_that_is_too_large_is_refused_before_it_comes(client: httpx.Client) -> None:
    with socket.create_connection((client.base_url.host, client.base_url.port or 0), timeout=10) as connection:
        head = "PATCH /api/v1/faces/Ada HTTP/1.1\r\nHost: localhost\r\nX-Sightd: 1\r\nContent-Length: 2000000\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 413")


def test_a_body_of_unknown_length_is_cut_off_at_the_limit(client: httpx.Client) -> None:
    sent = 0

    def parts() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(64):
            sent += 1
            yield b" " * 65536

    try:
        assert client.patch("/api/v1/faces/Ada", content=parts()).status_code == 413
    except httpx.WriteError:  # the server closed first
        assert sent < 64


def test_an_answer_does_not_repeat_the_request(client: httpx.Client) -> None:
    answer = client.patch("/api/v1/faces/Ada", json={"x" * 500_000: "secret", "name": ["secret"]})
    assert answer.status_code == 422
    assert len(answer.content) < 1000
    assert "secret" not in answer.text
    assert {tuple(one["loc"])[:2] for one in answer.json()["detail"]} == {("body", "name"), ("body", "x" * 100)}


def test_every_route_with_a_body_is_of_the_kind_that_parses_beside_the_loop(app: FastAPI) -> None:
    with_body = [route for route in routes(app) if route.body_field is not None]
    assert with_body
    assert all(isinstance(route, JsonRoute) for route in with_body)


def routes(app: FastAPI) -> Iterator[APIRoute]:
    waiting = list(app.routes)
    while waiting:
        route = waiting.pop()
        if included := getattr(route, "original_router", None):  # FastAPI keeps included routers as they are
            waiting += included.routes
        if isinstance(route, APIRoute):
            yield route
