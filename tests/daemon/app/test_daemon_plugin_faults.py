"""The whole daemon with a plug-in that fails in every possible way: other plug-ins continue, and it recovers."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.support import media
from tests.support.daemon import DaemonProcess, one_object_network
from tests.support.faulty_plugin import installed
from tests.support.networks import stored
from tests.support.waiting import eventually

pytestmark = pytest.mark.waiting

HANG = 10.0
"""Seconds after which a call counts as hanging."""


class Ward:
    """A daemon with two cameras that share a detector; the chain of one also has the failing plug-in."""

    def __init__(self, daemon: DaemonProcess, orders: Path) -> None:
        self.daemon = daemon
        self._orders = orders

    def order(self, what: str) -> None:
        part = self._orders.with_suffix(".part")
        part.write_text(what)
        part.rename(self._orders)

    def faults(self, reason: str) -> float:
        return self.daemon.metric("sightd_plugin_faults_total", plugin="faulty", reason=reason)

    def all_faults(self) -> float:
        return sum(self.daemon.values("sightd_plugin_faults_total", "reason", plugin="faulty").values())

    def restarts(self) -> float:
        return self.daemon.metric("sightd_plugin_process_restarts_total", plugin="faulty")

    def assert_frames_go_on(self) -> None:
        """Both cameras' frames pass their chains and reach the output."""
        before = self._counts()
        eventually(lambda: all(now >= then + 5 for now, then in zip(self._counts(), before, strict=True)), 30)

    def _counts(self) -> list[float]:
        return [
            self.daemon.metric("sightd_frames_total", camera=camera, stage=stage)
            for camera in ("left", "right")
            for stage in ("analysed", "unwatched")
        ]

    def is_ready(self) -> bool:
        return bool(self.daemon.readiness()["ready"])


@contextmanager
def harness(folder: Path, **options: object) -> Iterator[Ward]:
    orders = folder / "orders"
    configuration = {
        "cameras": {
            "left": {"source": "testpattern://", "width": 320, "height": 180, "chain": ["detector", "faulty"]},
            "right": {"source": "testpattern://", "width": 320, "height": 180, "chain": ["detector"]},
        },
        "plugins": {"detector": one_object_network(folder), "faulty": {"orders": str(orders), **options}},
        "rtsp": {"enabled": False},
    }
    with DaemonProcess(folder, configuration, installed(folder / "site")) as daemon:
        found = Ward(daemon, orders)
        eventually(found.is_ready, 60, "daemon ready")
        yield found


@pytest.fixture(scope="module")
def within(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    """The plug-in runs in the daemon's process."""
    with harness(tmp_path_factory.mktemp("within")) as one:
        yield one


@pytest.fixture(scope="module")
def isolated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    """The plug-in runs in its own process."""
    with harness(tmp_path_factory.mktemp("isolated"), isolate=True, max_memory="512MiB") as one:
        yield one


@pytest.mark.parametrize("where", ["within", "isolated"])
@pytest.mark.parametrize(("order", "reason"), [("raise", "error"), ("nonsense", "invalid"), ("hang", "timeout")])
def test_one_that_raises_hangs_or_talks_nonsense_hurts_only_itself(
    request: pytest.FixtureRequest, where: str, order: str, reason: str
) -> None:
    found: Ward = request.getfixturevalue(where)
    before = found.all_faults()
    found.order(order)
    eventually(lambda: found.faults(reason) == 1, 2 * HANG + 20)
    found.assert_frames_go_on()
    if order == "hang":
        assert any("no response after" in said for said in found.daemon.readiness()["reasons"])
    if order != "hang" or where == "isolated":
        eventually(found.is_ready, 60, "it is tried again")
    assert found.daemon.get("/healthz").status_code == 200
    assert found.all_faults() == before + 1


@pytest.mark.parametrize(
    ("order", "reason", "told"), [("segfault", "crashed", "SIGSEGV"), ("leak", "memory", "above max_memory (512 MiB)")]
)
def test_the_process_of_an_isolated_one_is_replaced(isolated: Ward, order: str, reason: str, told: str) -> None:
    pid, restarts = isolated.daemon.pid, isolated.restarts()
    isolated.order(order)
    eventually(lambda: isolated.faults(reason) == 1, 30)
    assert any(told in said for said in isolated.daemon.readiness()["reasons"]), isolated.daemon.readiness()
    isolated.assert_frames_go_on()
    eventually(isolated.is_ready, 60, "a new process has it")
    assert isolated.restarts() == restarts + 1
    resident = partial(isolated.daemon.metric, "sightd_plugin_process_resident_bytes", plugin="faulty")
    eventually(lambda: 2**20 < resident() < 512 * 2**20, 20)
    assert isolated.daemon.pid == pid


def test_the_daemon_ends_as_usual_afterwards(isolated: Ward) -> None:
    assert isolated.daemon.terminate(20)[0] == 0


def test_a_crash_of_the_daemon_itself_is_healed_by_a_restart_with_its_state_intact(tmp_path: Path) -> None:
    """Acts like systemd with Restart=on-failure, which restarts it."""
    for name in ("yunet", "sface"):
        stored(name)
    orders = tmp_path / "orders"
    configuration = {
        "cameras": {"desk": {"source": str(media.path("single_face.mp4"))}},
        "chain": ["face", "faulty"],
        "plugins": {"face": {"gallery": str(tmp_path / "faces.db")}, "faulty": {"orders": str(orders)}},
        "rtsp": {"enabled": False},
    }
    with DaemonProcess(tmp_path, configuration, installed(tmp_path / "site")) as daemon:
        added = httpx.post(
            daemon.url("/api/v1/faces/Ada/photos"),
            content=media.path("single_face.jpg").read_bytes(),
            headers={"X-Sightd": "1"},
            timeout=60,
        )
        assert added.status_code == 201, added.text
        orders.write_text("segfault")
        assert daemon.exit_code(60) == -signal.SIGSEGV
        assert "Segmentation fault" in daemon.log
        assert 'faulty_plugin.py", line' in daemon.log, "the log names the plug-in's own code"
        daemon.close()
        daemon.start()
        eventually(lambda: known(daemon) > 0, 60, "who was enrolled before is known")
        assert [person["name"] for person in daemon.get("/api/v1/faces").json()] == ["Ada"]


def known(daemon: DaemonProcess) -> float:
    return daemon.values("sightd_face_matches_total", "outcome").get("known", 0.0)
