from __future__ import annotations

import itertools
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from sightd.daemon.config.model import Http
from sightd.daemon.metrics.registry import Metrics
from sightd.daemon.serve.errors import ListenError, TlsError
from sightd.daemon.serve.http.app import create_app
from sightd.daemon.serve.http.server import HttpServer
from sightd.daemon.serve.jpeg_stream import JpegStream
from sightd.daemon.serve.live_video import CameraVideo
from sightd.daemon.serve.view import (
    CameraEntry,
    CameraStatus,
    PluginReport,
    PluginStatus,
    Readiness,
    RtspAddress,
    Servers,
    Status,
    StorageReport,
    StoreReport,
    Viewers,
)
from tests.support.access import NO_TOKENS
from tests.support.certificates import self_signed
from tests.support.waiting import eventually


class View:
    """A simulated daemon with one camera, "front"."""

    def __init__(self) -> None:
        self.stream = JpegStream(max_fps=100)
        self.browsers = CameraVideo()
        self.ready = self.alive = True

    def cameras(self) -> Sequence[CameraEntry]:
        return [CameraEntry("front", "Front <door>", RtspAddress("rtsp", 8554, "/front"))]

    def jpeg(self, camera: str) -> JpegStream | None:
        return self.stream if camera == "front" else None

    def video(self, camera: str) -> CameraVideo | None:
        return self.browsers if camera == "front" else None

    def readiness(self) -> Readiness:
        camera = CameraStatus("live", 12.5, size=(640, 360), fps=25.0)
        plugin = PluginStatus("yolox-tiny", "onnxruntime-cpu", "fp32", "cpu", "first choice")
        return Readiness(self.ready, {"front": camera}, {"detector": plugin}, () if self.ready else ("no camera",))

    def status(self) -> Status:
        store = StoreReport("/state/events.db", None, None)
        plugins = [PluginReport("detector", "running", 0.01, 0, None, ())]
        return Status(
            version="1.2.3", pid=1, started_at=12.5, uptime=3.5, config="/etc/sightd.yaml", configuration=None,
            ready=self.ready, reasons=(), cameras=(), plugins=plugins, viewers=Viewers(0, 0),
            servers=Servers(None, None, None), storage=StorageReport("/state", None, None, store, {}, {}), versions={},
        )  # fmt: skip

    def healthy(self) -> tuple[bool, str]:
        return self.alive, "the output moved 0.1 s ago"


class Service:
    """A web server on a free port, and a thread that publishes an image on each request."""

    def __init__(self, max_viewers: int = 3) -> None:
        self.view = View()
        self.metrics = Metrics(CollectorRegistry(), "1.2.3")
        self.server = HttpServer(Http(port=0), create_app(self.view, self.metrics.exposition, max_viewers, NO_TOKENS))
        self.server.start()
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.server.port}", timeout=5)
        self.picture_size = 1000
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._publish)
        self._thread.start()

    def close(self) -> None:
        self.client.close()
        self._stop.set()
        self._thread.join(5)
        self.server.close()

    def _publish(self) -> None:
        for number in itertools.count():
            if self._stop.wait(0.01):
                return
            if self.view.stream.wanted:
                self.view.stream.publish(b"\xff\xd8%06d" % number + b"." * self.picture_size, time.monotonic())


@pytest.fixture
def service() -> Iterator[Service]:
    running = Service()
    yield running
    running.close()


def parts(stream: httpx.Response) -> Iterator[bytes]:
    """Yields the images of a multipart response, split by their stated length as in a browser."""
    boundary = b"--" + stream.headers["content-type"].partition("boundary=")[2].encode()
    buffer, chunks = b"", stream.iter_raw()
    while True:
        while b"\r\n\r\n" not in buffer:
            buffer += next(chunks)
        head, _, buffer = buffer.partition(b"\r\n\r\n")
        lines = head.strip().split(b"\r\n")
        assert lines[0] == boundary
        assert b"Content-Type: image/jpeg" in lines
        length = int(next(line for line in lines if line.startswith(b"Content-Length")).split(b":")[1])
        while len(buffer) < length:
            buffer += next(chunks)
        yield buffer[:length]
        buffer = buffer[length:]


def test_mjpeg_gives_picture_after_picture(service: Service) -> None:
    with service.client.stream("GET", "/front.mjpg") as stream:
        assert stream.headers["content-type"].startswith("multipart/x-mixed-replace")
        stream_parts = parts(stream)  # keep a reference: an unreferenced iterator disconnects
        pictures = list(itertools.islice(stream_parts, 5))
        assert service.view.stream.clients == 1
    numbers = [int(picture[2:8]) for picture in pictures]
    assert numbers == sorted(set(numbers))
    eventually(lambda: service.view.stream.clients == 0, within=2)


def test_a_still_is_a_fresh_picture(service: Service) -> None:
    answer = service.client.get("/front.jpg")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.content.startswith(b"\xff\xd8")


@pytest.mark.parametrize("path", ["/back.jpg", "/back.mjpg"])
def test_an_unknown_camera_is_answered_with_those_there_are(service: Service, path: str) -> None:
    answer = service.client.get(path)
    assert answer.status_code == 404
    assert answer.json() == {"error": "There is no camera 'back'.", "cameras": ["front"]}


def test_one_viewer_too_many_is_rejected_and_may_come_later(service: Service) -> None:
    with ThreadPoolExecutor(3) as pool:
        leave = threading.Event()

        def watch() -> None:
            with service.client.stream("GET", "/front.mjpg") as stream:
                pictures = parts(stream)  # keep a reference: an unreferenced iterator disconnects
                next(pictures)
                leave.wait(10)

        watching = [pool.submit(watch) for _ in range(3)]
        eventually(lambda: service.view.stream.clients == 3)
        answer = service.client.get("/front.mjpg")
        leave.set()
        for one in watching:
            one.result(10)
    assert answer.status_code == 503
    assert "http.max_viewers" in answer.json()["error"]
    eventually(lambda: service.view.stream.clients == 0, within=2)
    with service.client.stream("GET", "/front.mjpg") as stream:
        assert next(parts(stream))


def test_stopping_is_prompt_with_viewers_and_ends_their_streams_cleanly(service: Service) -> None:
    with service.client.stream("GET", "/front.mjpg") as stream:
        chunks = stream.iter_raw()
        next(chunks)
        begun = time.monotonic()
        service.server.close()
        assert time.monotonic() - begun < 1.9, "without the deadline's help"
        assert sum(1 for _ in chunks) < 1000  # an orderly end: a broken connection would raise
    assert "http-server" not in {thread.name for thread in threading.enumerate()}
    service.server.close()


def test_stopping_is_prompt_although_a_viewer_stopped_reading(service: Service) -> None:
    service.picture_size = 2_000_000
    with socket.create_connection(("127.0.0.1", service.server.port)) as viewer:
        viewer.sendall(b"GET /front.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
        eventually(lambda: service.view.stream.clients == 1)
        eventually(lambda: not service.view.stream.wanted and service.view.stream.clients == 1, within=10)
        begun = time.monotonic()
        service.server.close()
        assert time.monotonic() - begun < 2


def test_a_stalled_viewer_loses_its_seat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightd.daemon.serve.http.listener._STALL_MS", 1000)
    service = Service()
    service.picture_size = 500_000
    address = f"http://127.0.0.1:{service.server.port}/front.mjpg"
    script = f"import urllib.request as u\nr = u.urlopen({address!r})\nwhile r.read(65536): pass"
    viewer = subprocess.Popen([sys.executable, "-c", script])
    try:
        eventually(lambda: service.view.stream.clients == 1)
        os.kill(viewer.pid, signal.SIGSTOP)
        eventually(lambda: service.view.stream.clients == 0, within=10)
    finally:
        viewer.kill()
        viewer.wait(5)
        service.close()


def test_health_and_readiness_say_why(service: Service) -> None:
    assert service.client.get("/healthz").json() == {"healthy": True, "detail": "the output moved 0.1 s ago"}
    answer = service.client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["plugins"]["detector"]["backend"] == "onnxruntime-cpu"
    assert answer.json()["cameras"]["front"]["size"] == [640, 360]
    service.view.ready = service.view.alive = False
    assert service.client.get("/healthz").status_code == 503
    assert service.client.get("/readyz").status_code == 503
    assert service.client.get("/readyz").json()["reasons"] == ["no camera"]


@pytest.mark.parametrize(
    ("accept", "parse"),
    [("text/plain", parse_text), ("application/openmetrics-text; version=1.0.0", parse_openmetrics)],
)
def test_metrics_are_served_in_the_format_asked_for(
    service: Service, accept: str, parse: Callable[[str], Iterator[object]]
) -> None:
    service.metrics.camera("front").frames["captured"].inc()
    answer = service.client.get("/metrics", headers={"Accept": accept})
    assert answer.headers["content-type"].startswith(accept.split(";")[0])
    assert "sightd_frames" in {family.name for family in parse(answer.text)}  # type: ignore[attr-defined]


def test_every_answer_may_neither_be_sniffed_nor_stored_nor_framed(service: Service) -> None:
    for path in ("/front.jpg", "/back.jpg", "/metrics", "/readyz", "/nothing/here"):
        headers = service.client.get(path).headers
        assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")
        assert "server" not in headers
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert (headers["x-frame-options"], headers["cross-origin-resource-policy"]) == ("DENY", "same-site")


def test_the_api_is_described(service: Service) -> None:
    paths = service.client.get("/api/v1/openapi.json").json()["paths"]
    assert {"/", "/console/{path}", "/{camera}.mjpg", "/{camera}.jpg", "/metrics", "/healthz", "/readyz"} <= set(paths)


def test_a_port_in_use_is_reported_with_what_to_do(service: Service) -> None:
    port = service.server.port
    other = HttpServer(Http(port=port), create_app(View(), service.metrics.exposition, 1, NO_TOKENS))
    with pytest.raises(ListenError, match=rf"127\.0\.0\.1:{port}.*http\.port"):
        other.start()
    other.close()


def test_https_accepts_only_tls(tmp_path: Path) -> None:
    pair = self_signed(tmp_path)
    metrics = Metrics(CollectorRegistry(), "1.2.3")
    options = Http.model_validate({"port": 0, "tls": pair})
    server = HttpServer(options, create_app(View(), metrics.exposition, 1, NO_TOKENS))
    server.start()
    trusted = ssl.create_default_context(cafile=pair["certificate"])
    assert httpx.get(f"https://127.0.0.1:{server.port}/healthz", verify=trusted).status_code == 200
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://127.0.0.1:{server.port}/healthz")
    server.close()


def test_who_opens_a_connection_and_speaks_no_tls_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightd.daemon.serve.http.server.PATIENCE", 1.0)
    app = create_app(View(), Metrics(CollectorRegistry(), "1.2.3").exposition, 1, NO_TOKENS)
    server = HttpServer(Http.model_validate({"port": 0, "tls": self_signed(tmp_path)}), app)
    server.start()
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as silent:
        assert silent.recv(1) == b""
    server.close()


def test_a_key_that_is_not_the_certificates_is_reported(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    pair = self_signed(tmp_path / "one") | {"key": self_signed(tmp_path / "other")["key"]}
    app = create_app(View(), Metrics(CollectorRegistry(), "1.2.3").exposition, 1, NO_TOKENS)
    with pytest.raises(TlsError, match=r"http\.tls: .*certificate\.pem"):
        HttpServer(Http.model_validate({"port": 0, "tls": pair}), app)
