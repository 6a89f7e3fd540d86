"""Alerts on failures within a daemon, in a real Prometheus. `test_prometheus` covers cameras and configuration,
`test_alerts_of_load` what takes minutes or hours."""

from __future__ import annotations

import base64
import os
import resource
import signal
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sightd.daemon.serve.auth import AT_ONCE
from tests.support.camera import need_rtsp_server
from tests.support.daemon import DaemonProcess
from tests.support.debian import program
from tests.support.faulty_plugin import installed
from tests.support.prometheus import Prometheus
from tests.support.small_disk import SmallDisk
from tests.support.viewer import Viewer
from tests.support.waiting import eventually

pytestmark = pytest.mark.waiting

_POLL = 0.2
"""Seconds."""


class Ward:
    """Test harness: a daemon with a plug-in that fails on demand and its state on a small disk, Prometheus, a
    viewer."""

    def __init__(self, daemon: DaemonProcess, prometheus: Prometheus, folder: Path, disk: SmallDisk) -> None:
        self.daemon, self.disk = daemon, disk
        self._prometheus, self._orders = prometheus, folder / "orders"

    def order(self, what: str) -> None:
        part = self._orders.with_suffix(".part")
        part.write_text(what)
        part.rename(self._orders)

    def fires(self, *alerts: str, within: float = 40.0) -> None:
        eventually(lambda: set(alerts) <= self._prometheus.firing(), within, f"{alerts} fire", every=_POLL)

    def quiet(self, alert: str) -> None:
        eventually(lambda: alert not in self._prometheus.firing(), 40, f"{alert} does not fire any more", every=_POLL)

    def started_anew(self, times: int) -> bool:
        """Whether Prometheus has seen `times` restarts."""
        found = self._prometheus.query("changes(process_start_time_seconds[15m])")
        return [int(sample["value"][1]) for sample in found] == [times]


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Ward]:
    program("prometheus", "prometheus")
    need_rtsp_server()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    camera = {"source": "testpattern://", "width": 320, "height": 180, "fps": 25, "chain": ["faulty"]}
    configuration = {
        "cameras": {"a": camera},
        "plugins": {"faulty": {"orders": str(tmp_path / "orders")}},
        "rtsp": {"port": 0, "auth": {"username": "ann", "password": "right", "method": "basic"}},
        "http": {"port": port},
    }
    with SmallDisk(tmp_path / "disk") as disk:
        environ = {**installed(tmp_path / "site"), "SIGHTD_STATE_DIR": str(disk.path)}
        with (
            DaemonProcess(tmp_path, configuration, environ) as daemon,
            Prometheus(tmp_path, f"127.0.0.1:{port}") as prometheus,
            Viewer(daemon.rtsp("a").replace("://", "://ann:right@")) as viewer,
        ):
            viewer.wait_for(10)
            eventually(lambda: prometheus.up, 20, "the daemon scraped")
            yield Ward(daemon, prometheus, tmp_path, disk)


def guess(daemon: DaemonProcess, password: str) -> None:
    address = urlsplit(daemon.rtsp("a"))
    tried = base64.b64encode(f"ann:{password}".encode()).decode()
    with socket.create_connection(("127.0.0.1", address.port or 0), timeout=5) as connection:
        request = f"DESCRIBE {address.geturl()} RTSP/1.0\r\nCSeq: 1\r\nAuthorization: Basic {tried}\r\n\r\n"
        connection.sendall(request.encode())
        assert connection.recv(4096).startswith(b"RTSP/1.0 401")


def leave_few_descriptors(daemon: DaemonProcess, few: int) -> None:
    numbers = [int(name) for name in os.listdir(f"/proc/{daemon.pid}/fd")]  # noqa: PTH208 — names only
    _, hard = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (max(numbers) + few, hard))


def test_each_fires_on_its_fault(harness: Ward) -> None:
    harness.order("keep raising")
    harness.fires("SightdPluginDisabled", "SightdPluginFaults")
    for number in range(AT_ONCE + 1):
        guess(harness.daemon, f"wrong {number}")
    harness.fires("SightdLoginFailures")
    harness.disk.fill()
    harness.daemon.signal(signal.SIGHUP)  # records an event
    harness.fires("SightdStateNotWritable")
    harness.disk.empty()
    harness.quiet("SightdStateNotWritable")
    leave_few_descriptors(harness.daemon, 4)
    harness.fires("SightdDescriptorsLow")
    for times in (1, 2, 3):
        harness.daemon.signal(signal.SIGKILL)
        harness.daemon.exit_code()
        harness.daemon.start()
        eventually(partial(harness.started_anew, times), 20, "the new one is scraped")
    harness.fires("SightdRestarts")
    harness.quiet("SightdDescriptorsLow")
