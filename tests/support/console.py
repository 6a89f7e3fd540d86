"""A web server with the console: the real application over a simulated daemon with cameras whose pictures move."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
from prometheus_client import CollectorRegistry

from sightd.daemon.capture.packets import ReceivedPacket
from sightd.daemon.config.model import Http, Output
from sightd.daemon.config.webrtc import WebRtc
from sightd.daemon.encode.encoder import H264Encoder, Packet, encode_jpeg
from sightd.daemon.events.event import EventKind
from sightd.daemon.events.journal import Journal
from sightd.daemon.metrics.registry import Metrics
from sightd.daemon.serve.auth import Access
from sightd.daemon.serve.http.app import create_app
from sightd.daemon.serve.http.server import HttpServer
from sightd.daemon.serve.jpeg_stream import JpegStream
from sightd.daemon.serve.live_results import LiveResults
from sightd.daemon.serve.live_video import CameraVideo
from sightd.daemon.serve.view import (
    CameraEntry,
    CameraReport,
    CameraStatus,
    Readiness,
    Servers,
    Status,
    StorageReport,
    StoreReport,
    Viewers,
)
from sightd.daemon.serve.webrtc.service import WebRtcService
from sightd.plugins.api import Frame, Image, Results
from tests.support.access import NO_TOKENS

_SIZE = (640, 360)
_KINDS = ("zone.entered", "zone.left", "zone.crowded", "line.crossed")
"""Kinds of events that plug-ins would declare."""
_DIFFERENT = 16
"""Frames of the film that all cameras repeat."""


def camera_report(name: str, title: str, state: str = "live", reason: str | None = None) -> CameraReport:
    """A camera as /api/v1/status reports it."""
    live = state in ("live", "late")
    return CameraReport(
        name=name, title=title, state=state, since=time.time() - 90, reason=reason, size=_SIZE if live else None,
        fps=25.0 if live else 0.0, age=0.04 if live else None, last_frame=time.time(), frames=2250, damaged=0,
        faults={}, last_error=reason, chain=("detector", "tracker"), viewers=Viewers(0, 0), encoder="x264",
        rtsp=f"rtsp://127.0.0.1:8554/{name}", mjpeg=f"http://127.0.0.1:8080/{name}.mjpg",
    )  # fmt: skip


CAMERAS = (
    camera_report("gate", "Gate <north>"),
    replace(
        camera_report("yard", "Yard", "late", "frames arrive 1.2 s late: the network or this machine is too slow"),
        paused=True,
    ),
    camera_report("door", "Front door", "waiting", "the camera refuses the password (401)"),
)


class SimulatedDaemon:
    """The daemon as the web server sees it. `reports` may be replaced while it runs."""

    def __init__(self, reports: Sequence[CameraReport]) -> None:
        self.reports = list(reports)
        self.streams = {one.name: JpegStream(max_fps=100) for one in reports}
        self.videos = {one.name: CameraVideo() for one in reports}
        for video in self.videos.values():
            video.clean.stream_opened("h264")

    def cameras(self) -> Sequence[CameraEntry]:
        return [CameraEntry(one.name, one.title, None) for one in self.reports]

    def jpeg(self, camera: str) -> JpegStream | None:
        return self.streams.get(camera)

    def video(self, camera: str) -> CameraVideo | None:
        return self.videos.get(camera)

    def readiness(self) -> Readiness:
        cameras = {one.name: CameraStatus(one.state, one.since, one.reason) for one in self.reports}
        return Readiness(True, cameras, {})

    def status(self) -> Status:
        store = StoreReport("/state/events.db", 4096, None)
        cameras = [replace(one, viewers=self._viewers(one.name)) for one in self.reports]
        return Status(
            version="1.2.3", pid=1, started_at=time.time() - 100, uptime=100.0, config="/etc/sightd.yaml",
            configuration=None, ready=True, reasons=(), cameras=cameras, plugins=(),
            viewers=Viewers(0, 0), servers=Servers(None, None, None),
            storage=StorageReport("/state", 10**9, 10**10, store, {}, {}), versions={},
        )  # fmt: skip

    def healthy(self) -> tuple[bool, str]:
        return True, "the output moved 0.1 s ago"

    @property
    def watched(self) -> set[str]:
        """Names of the cameras that somebody watches."""
        return {name for name in self.streams if self._viewers(name) != Viewers(0, 0)}

    def _viewers(self, name: str) -> Viewers:
        video = self.videos[name]
        return Viewers(0, self.streams[name].clients, video.viewers("webrtc"), video.viewers("mse"))


class ConsoleServer:
    """Serves the console on a free port of the loopback; a context manager."""

    def __init__(
        self,
        folder: Path,
        cameras: Sequence[CameraReport] = CAMERAS,
        access: Access = NO_TOKENS,
        port: int = 0,
        **services: Any,
    ) -> None:
        """`services` are further ones of `create_app`, such as `administration`."""
        self.daemon = SimulatedDaemon(cameras)
        metrics = Metrics(CollectorRegistry(), "1.2.3", event_kinds=[*EventKind, *_KINDS])
        self.journal = Journal(folder / "events.db", 86400.0, 1000, metrics.events)
        self.live = LiveResults()
        self._webrtc = WebRtcService(WebRtc.model_validate({"port": 0}), "127.0.0.1")
        self.app = create_app(
            self.daemon,
            metrics.exposition,
            16,
            access,
            journal=self.journal,
            live=self.live,
            webrtc=self._webrtc,
            **services,
        )
        self.server = HttpServer(Http(port=port), self.app)
        self._stop = threading.Event()
        self._publisher = threading.Thread(target=self._publish)

    def url(self, path: str = "/") -> str:
        """The address of a path, such as "/#/events"."""
        return f"http://127.0.0.1:{self.server.port}{path}"

    def analysed(self, camera: str, results: Results) -> None:
        """Publishes what was found on a frame that was captured now."""
        size, now = _SIZE, time.monotonic()
        frame = Frame(
            camera, 1, size, lambda: np.zeros((*size[::-1], 3), np.uint8), captured_at=now, wall_time=time.time()
        )
        self.live.publish(frame, results)

    def _publish(self) -> None:
        for number in itertools.count():
            for name, stream in self.daemon.streams.items():
                image, unit = _pictures(name)[number % _DIFFERENT]
                now, video = time.monotonic(), self.daemon.videos[name]
                if stream.wanted:
                    stream.publish(image, now)
                if video.annotated.wanted:
                    video.annotated.push(Packet(unit, now, keyframe=True))
                video.clean.packet_received(ReceivedPacket(unit, now, now, True, now))
            if self._stop.wait(0.05):
                return

    def __enter__(self) -> Self:
        self.journal.start()
        self.server.start()
        self._publisher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Idempotent."""
        self._stop.set()
        self._publisher.join(5)
        self._webrtc.close()
        self.server.close()
        self.journal.close()


@cache
def _pictures(name: str) -> list[tuple[bytes, bytes]]:
    """Returns a film of a moving box, as JPEG images and as key frames of H.264."""
    encoder = H264Encoder(*_SIZE, 20.0, Output())
    found = []
    for number in range(_DIFFERENT):
        image = _picture(name, number)
        (packet,) = encoder.encode(image, number / 20, keyframe=True)
        found.append((encode_jpeg(image, 80), packet.data))
    encoder.close()
    return found


def _picture(name: str, number: int) -> Image:
    width, height = _SIZE
    image = np.empty((height, width, 3), np.uint8)
    image[:] = np.linspace(60, 130, height, dtype=np.uint8)[:, None, None]
    cv2.rectangle(image, (20 + 30 * number, 180), (120 + 30 * number, 300), (200, 160, 60), -1)
    cv2.putText(image, name, (20, 60), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (255, 255, 255), 2)
    return image
