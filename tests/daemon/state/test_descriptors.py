"""Out of file descriptors: existing connections continue, it is logged, nothing spins, and it recovers when there are
descriptors again."""

from __future__ import annotations

import os
import resource
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from tests.support.camera import CameraSimulator, Look, need_rtsp_server
from tests.support.daemon import DaemonProcess, one_object_network
from tests.support.viewer import Viewer
from tests.support.waiting import eventually

_ASIDE = 2.5
"""Seconds of observation; the web server keeps an unused connection for five."""


@contextmanager
def none_left(daemon: DaemonProcess) -> Iterator[None]:
    """Keeps the process from opening more descriptors. The limit applies to descriptor numbers, so gaps count, too."""
    before = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
    used = {int(number) for number in os.listdir(f"/proc/{daemon.pid}/fd")}  # noqa: PTH208
    first_free = min(set(range(len(used) + 1)) - used)
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (first_free, before[1]))
    try:
        yield
    finally:
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, before)


def cpu_seconds(daemon: DaemonProcess) -> float:
    fields = Path(f"/proc/{daemon.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def load(daemon: DaemonProcess) -> float:
    """Returns the CPU load over some seconds, as a fraction of one core."""
    used, begun = cpu_seconds(daemon), time.monotonic()
    time.sleep(_ASIDE)
    return (cpu_seconds(daemon) - used) / (time.monotonic() - begun)


def alive(connected: httpx.Client) -> bool:
    """Sends a request over an existing connection, which also keeps it open."""
    return connected.get("/healthz").status_code == 200


def test_connected_feeds_and_viewers_go_on_and_nothing_spins(tmp_path: Path) -> None:
    need_rtsp_server()
    with ExitStack() as parts:
        camera = parts.enter_context(CameraSimulator(Look(size=(320, 240), fps=10)))
        configuration = {"cameras": {"a": {"source": camera.address()}}}
        daemon = parts.enter_context(DaemonProcess(tmp_path, configuration))
        eventually(lambda: bool(daemon.readiness()["ready"]), 20)
        viewer = parts.enter_context(Viewer(daemon.rtsp("a")))
        viewer.wait_for(5)
        connected = parts.enter_context(httpx.Client(base_url=daemon.url(""), timeout=20))
        assert connected.get("/readyz").json()["ready"]
        quiet = load(daemon)
        assert alive(connected)
        with none_left(daemon):
            for _ in range(3):
                parts.enter_context(socket.create_connection(("127.0.0.1", httpx.URL(daemon.url("")).port or 0)))
            eventually(lambda: alive(connected) and "RTSP does not accept new viewers" in daemon.log, 20)
            assert load(daemon) < quiet + 0.2, "of a core"
            [reason] = connected.get("/readyz").json()["reasons"]
            assert "file descriptors left: raise the limit" in reason
            seen = len(viewer.seen)
            viewer.wait_for(seen + 10)
            assert viewer.error is None
            assert daemon.log.count("cannot accept a connection") <= 3, "not with each attempt"
        eventually(lambda: bool(connected.get("/readyz").json()["ready"]), 30)
        eventually(lambda: "RTSP accepts new viewers again" in daemon.log, 30)
        with Viewer(daemon.rtsp("a")) as another:
            another.wait_for(5)
        assert daemon.get("/readyz").status_code == 200


def test_a_reload_is_refused_and_the_daemon_goes_on(tmp_path: Path) -> None:
    pattern = {"source": "testpattern://", "width": 320, "height": 240, "fps": 10}
    network = {**one_object_network(tmp_path), "isolate": True}
    settings = {"cameras": {"a": pattern}, "chain": ["detector"], "plugins": {"detector": network}}
    with DaemonProcess(tmp_path, {**settings, "rtsp": {"enabled": False}}) as daemon:
        eventually(lambda: bool(daemon.readiness()["ready"]), 30)
        with httpx.Client(base_url=daemon.url(""), timeout=20) as connected:
            assert alive(connected)
            with none_left(daemon):
                os.kill(daemon.pid, signal.SIGHUP)
                eventually(lambda: alive(connected) and "was not applied and nothing was changed" in daemon.log, 20)
            assert alive(connected)
        answer = httpx.post(daemon.url("/api/v1/reload"), headers={"X-Sightd": "1"}, timeout=60)
        assert answer.status_code == 200, answer.text
