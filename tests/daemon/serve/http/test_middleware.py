"""Every GET route answers HEAD with its headers, and texts are compressed for clients that ask for it."""

from __future__ import annotations

import gzip
import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry

from sightd.daemon.config.model import Http
from sightd.daemon.events.event import EventKind
from sightd.daemon.events.journal import Journal
from sightd.daemon.metrics.registry import Metrics
from sightd.daemon.serve.http.app import create_app
from sightd.daemon.serve.http.middleware import accepts_gzip
from sightd.daemon.serve.http.server import HttpServer
from tests.daemon.serve.http.test_app import View
from tests.support.access import NO_TOKENS
from tests.support.waiting import eventually

pytestmark = pytest.mark.waiting

ROUTES = {
    "/": "text/html; charset=utf-8",
    "/console/app.js": "text/javascript; charset=utf-8",
    "/front.jpg": "image/jpeg",
    "/front.mjpg": "multipart/x-mixed-replace; boundary=sightd-picture",
    "/healthz": "application/json",
    "/readyz": "application/json",
    "/metrics": "text/plain; version=0.0.4; charset=utf-8",
    "/api/v1/openapi.json": "application/json",
    "/api/v1/events": "application/json",
    "/api/v1/login": "application/json",
    "/api/v1/me": "application/json",
    "/api/v1/events/export?format=csv": "text/csv; charset=utf-8; header=present",
    "/api/v1/events/statistics": "application/json",
    "/api/v1/events/stream": "text/event-stream; charset=utf-8",
    "/api/v1/status": "application/json",
    "/api/v1/tokens": "application/json",
}


class Served:
    """A web server with a journal, metrics, and one camera whose image is always new."""

    def __init__(self, folder: Path) -> None:
        metrics = Metrics(CollectorRegistry(), "1.2.3", event_kinds=list(EventKind))
        self.view = View()
        self.journal = Journal(folder / "events.db", 86400.0, 1000, metrics.events)
        self.app = create_app(self.view, metrics.exposition, 3, NO_TOKENS, journal=self.journal)
        self.server = HttpServer(Http(port=0), self.app)
        self._stop = threading.Event()
        self._publisher = threading.Thread(target=self._publish)

    def __enter__(self) -> Served:
        self.journal.start()
        self.server.start()
        self._publisher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._publisher.join(5)
        self.server.close()
        self.journal.close()

    def _publish(self) -> None:
        for number in itertools.count():
            if self._stop.wait(0.01):
                return
            self.view.stream.publish(b"\xff\xd8%06d" % number + bytes(5000), time.monotonic())

    def ask(self, method: str, path: str, encoding: str = "identity") -> httpx.Response:
        """Returns the response with its body as it was sent, before decompression."""
        url = f"http://127.0.0.1:{self.server.port}{path}"
        with httpx.stream(method, url, headers={"Accept-Encoding": encoding}, timeout=5) as response:
            endless = method == "GET" and "content-length" not in response.headers
            response.extensions["body"] = b"" if endless else b"".join(response.iter_raw())
            return response


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with Served(tmp_path) as server:
        yield server


def test_head_is_answered_as_get_is_on_every_route(served: Served) -> None:
    routes = {path for path, methods in served.app.openapi()["paths"].items() if "get" in methods}
    routes = {
        path for path in routes if not path.startswith("/api/v1/events/{number}")
    }  # see test_routes_event_media.py
    known = {path.partition("?")[0].replace("front", "{camera}").replace("app.js", "{path}") for path in ROUTES}
    known -= {"/api/v1/openapi.json"}
    assert routes == known, "a new route belongs into ROUTES"
    for path, content_type in ROUTES.items():
        got, head = served.ask("GET", path), served.ask("HEAD", path)
        assert (head.status_code, got.status_code) == (200, 200), path
        assert head.headers["content-type"] == got.headers["content-type"] == content_type
        assert head.extensions["body"] == b""
        assert ("content-length" in head.headers) is ("content-length" in got.headers)
        assert head.headers["x-content-type-options"] == "nosniff"


def test_head_of_a_stream_leaves_no_viewer_behind(served: Served) -> None:
    for _ in range(10):  # more than there are slots
        assert served.ask("HEAD", "/front.mjpg").status_code == 200
    eventually(lambda: served.view.stream.clients == 0, 2)


@pytest.mark.parametrize(("method", "path", "status"), [("HEAD", "/none.jpg", 404), ("HEAD", "/none", 404)])
def test_head_tells_what_is_not_there(served: Served, method: str, path: str, status: int) -> None:
    response = served.ask(method, path)
    assert (response.status_code, response.extensions["body"]) == (status, b"")


def test_a_connection_is_used_again_after_head(served: Served) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{served.server.port}") as client:
        assert client.head("/readyz").status_code == 200
        assert client.get("/readyz").json()["ready"] is True


def test_metrics_are_compressed_for_those_who_ask(served: Served) -> None:
    plain, packed = served.ask("GET", "/metrics"), served.ask("GET", "/metrics", "gzip")
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == "Accept-Encoding"
    assert int(packed.headers["content-length"]) == len(packed.extensions["body"])
    assert len(packed.extensions["body"]) < len(plain.extensions["body"]) / 3
    assert b"sightd_build_info" in gzip.decompress(packed.extensions["body"])
    head = served.ask("HEAD", "/metrics", "gzip")
    assert "content-encoding" in head.headers or int(head.headers["content-length"]) > 0


def test_a_large_json_is_compressed_and_a_small_one_is_not(served: Served) -> None:
    large, small = served.ask("GET", "/api/v1/openapi.json", "br, gzip;q=0.5"), served.ask("GET", "/healthz", "gzip")
    assert large.headers["content-encoding"] == "gzip"
    assert b'"openapi"' in gzip.decompress(large.extensions["body"])
    assert "content-encoding" not in small.headers
    assert small.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize("path", ["/front.jpg", "/front.mjpg", "/api/v1/events/stream"])
def test_pictures_and_streams_are_not_compressed(served: Served, path: str) -> None:
    assert "content-encoding" not in served.ask("GET", path, "gzip").headers


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("gzip", True),
        ("GZIP", True),
        ("deflate, gzip;q=1.0, *;q=0.5", True),
        ("*", True),
        ("br, gzip ; q=0.1", True),
        ("", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("gzip;q=1.2.3", False),
        ("x-gzip-not", False),
    ],
)
def test_what_a_client_accepts(header: str, accepted: bool) -> None:
    assert accepts_gzip(header) is accepted
