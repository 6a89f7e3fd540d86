"""Alerts on what takes minutes or hours in real use, in a real Prometheus whose rules look back only seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest
import yaml

from tests.support.camera import CameraSimulator, Look, need_rtsp_server
from tests.support.daemon import DaemonProcess
from tests.support.debian import program
from tests.support.faulty_plugin import installed
from tests.support.prometheus import Prometheus
from tests.support.quota import quota
from tests.support.viewer import Viewer
from tests.support.waiting import eventually

pytestmark = [pytest.mark.waiting, pytest.mark.slow]

_SHARE = 0.08
"""Share of CPU time, too little for the camera."""
_POLL = 0.2
"""Seconds."""
_TOO_WIDE = 16400
"""Pixels; the maximum of H.264 is 16384."""


def too_wide(path: Path) -> Path:
    """Writes a recording, like a line-scan camera's, that cannot be encoded as H.264."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = _TOO_WIDE, 64, "yuvj420p"
        picture = av.VideoFrame.from_ndarray(np.full((64, _TOO_WIDE, 3), 90, np.uint8), "bgr24")
        for _ in range(20):
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


class Ward:
    """Test harness: a daemon with a viewer of its camera "a" and a plug-in that fails on demand, and Prometheus."""

    def __init__(self, daemon: DaemonProcess, prometheus: Prometheus, orders: Path) -> None:
        self.daemon, self.orders = daemon, orders
        self._prometheus = prometheus

    def fires(self, *alerts: str) -> None:
        eventually(lambda: set(alerts) <= self._prometheus.firing(), 60, f"{alerts} fire", every=_POLL)

    def quiet(self, *alerts: str) -> None:
        eventually(lambda: not set(alerts) & self._prometheus.firing(), 60, f"{alerts} do not fire", every=_POLL)

    def settled(self) -> bool:
        """Whether the daemon has run long enough for its memory to be evaluated."""
        return bool(self._prometheus.query("time() - process_start_time_seconds > 20"))


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    program("prometheus", "prometheus")
    need_rtsp_server()
    folder = tmp_path_factory.mktemp("ward")
    orders = folder / "orders"
    with ExitStack() as parts:
        camera = parts.enter_context(CameraSimulator(Look(size=(320, 180), fps=25)))
        configuration = {
            "cameras": {"a": {"source": camera.address(), "chain": ["faulty"]}},
            "plugins": {"faulty": {"orders": str(orders)}},
        }
        daemon = parts.enter_context(DaemonProcess(folder, configuration, installed(folder / "site")))
        target = daemon.url("").removeprefix("http://")
        prometheus = parts.enter_context(Prometheus(folder, target, hurried=True))
        parts.enter_context(Viewer(daemon.rtsp("a"))).wait_for(25)
        eventually(lambda: prometheus.up, 20, "the daemon scraped")
        yield Ward(daemon, prometheus, orders)


def reload(daemon: DaemonProcess, cameras: dict[str, Any]) -> None:
    settings = yaml.safe_load(daemon.path.read_text())
    daemon.path.write_text(yaml.safe_dump({**settings, "cameras": {**settings["cameras"], **cameras}}))
    assert httpx.post(daemon.url("/api/v1/reload"), headers={"X-Sightd": "1"}, timeout=30).status_code == 200


def test_a_processor_that_is_too_slow(harness: Ward) -> None:
    harness.quiet("SightdLatencyHigh", "SightdFramesDropped")
    with quota(harness.daemon.pid, _SHARE):
        harness.fires("SightdLatencyHigh", "SightdFramesDropped")
    harness.quiet("SightdLatencyHigh", "SightdFramesDropped")


def test_a_plugin_that_leaks(harness: Ward) -> None:
    eventually(harness.settled, 30)
    harness.quiet("SightdMemoryGrowing")
    harness.orders.write_text("keep leaking")
    harness.fires("SightdMemoryGrowing")
    harness.orders.unlink()
    harness.quiet("SightdMemoryGrowing")


@pytest.mark.slow
def test_a_camera_whose_pictures_cannot_be_encoded(harness: Ward, tmp_path: Path) -> None:
    harness.quiet("SightdOutputErrors")
    reload(harness.daemon, {"wide": {"source": str(too_wide(tmp_path / "wide.avi")), "chain": []}})
    with Viewer(harness.daemon.rtsp("wide")):
        harness.fires("SightdOutputErrors")
    harness.quiet("SightdOutputErrors")
