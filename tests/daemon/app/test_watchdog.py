"""The watchdog is notified only if every loop runs, and a hung loop ends the process."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from sightd.daemon.app.systemd import EXIT_STALLED, Notifier, Watchdog


class Supervisor:
    """Simulates systemd."""

    def __init__(self, folder: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(folder / "notify"))
        self.socket.settimeout(3)
        self.environ = {"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "300000"}
        self.healthy, self.ended = True, list[int]()
        self.has_ended = threading.Event()
        self.clock: Callable[[], float] = time.monotonic

    def watchdog(self, **environ: str) -> Watchdog:
        settings = {**self.environ, **environ}

        def end(code: int) -> None:
            self.ended.append(code)
            self.has_ended.set()

        return Watchdog(
            Notifier(settings),
            lambda: (self.healthy, "all turn" if self.healthy else "the output of a is stuck"),
            lambda: "1 of 1 cameras live",
            settings,
            exit=end,
            clock=self.clock,
        )

    def received(self) -> bytes:
        return self.socket.recv(4096)


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    one = Supervisor(tmp_path)
    yield one
    one.socket.close()


def test_signs_of_life_come_well_within_the_time(supervisor: Supervisor) -> None:
    watchdog = supervisor.watchdog()
    watchdog.start()
    supervisor.socket.settimeout(0.25)
    assert [supervisor.received() for _ in range(4)] == [b"WATCHDOG=1"] * 4
    watchdog.close()
    assert not supervisor.ended


def test_what_is_stuck_is_reported_and_ends_the_process(supervisor: Supervisor) -> None:
    watchdog = supervisor.watchdog()
    supervisor.healthy = False
    watchdog.start()
    assert supervisor.received() == b"STATUS=the output of a is stuck"
    assert supervisor.has_ended.wait(3)
    watchdog.close()
    assert supervisor.ended == [EXIT_STALLED]


def test_a_short_stall_is_forgiven(supervisor: Supervisor) -> None:
    watchdog = supervisor.watchdog(WATCHDOG_USEC="900000")
    supervisor.healthy = False
    watchdog.start()
    assert supervisor.received().startswith(b"STATUS=")
    supervisor.healthy = True
    assert supervisor.received() == b"WATCHDOG=1"
    watchdog.close()
    assert not supervisor.ended


class JumpingClock:
    """A clock that advances by a third of the watchdog's time per reading, plus `jumps` (s, by number of the
    reading)."""

    def __init__(self, jumps: Mapping[int, float]) -> None:
        self._jumps, self._readings, self._now = jumps, 0, 100.0

    def __call__(self) -> float:
        self._now += self._jumps.get(self._readings, 0.1)
        self._readings += 1
        return self._now


def test_a_process_that_was_stopped_and_continued_gets_the_full_time_once_more(supervisor: Supervisor) -> None:
    supervisor.clock = JumpingClock({3: 36.0})
    watchdog = supervisor.watchdog()
    watchdog.start()
    assert [supervisor.received() for _ in range(2)] == [b"WATCHDOG=1"] * 2
    supervisor.healthy = False  # no loop has run for 36 s
    assert supervisor.received() == b"WATCHDOG=1", "systemd's own time is over as well"
    assert supervisor.received() == b"STATUS=the output of a is stuck"
    assert not supervisor.ended
    supervisor.healthy = True
    while supervisor.received() != b"WATCHDOG=1":
        pass
    assert not supervisor.ended
    watchdog.close()


def test_one_that_does_not_turn_afterwards_ends_all_the_same(supervisor: Supervisor) -> None:
    supervisor.healthy = False
    supervisor.clock = JumpingClock(dict.fromkeys(range(1, 1000), 0.25))  # late every time
    watchdog = supervisor.watchdog()
    watchdog.start()
    assert supervisor.has_ended.wait(5)
    watchdog.close()
    assert supervisor.ended == [EXIT_STALLED]


def test_without_a_watchdog_only_the_state_is_reported(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightd.daemon.app.systemd._STATUS_EVERY", 0.05)
    for asked in ({"WATCHDOG_USEC": ""}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_PID": str(os.getpid() + 1)}):
        watchdog = supervisor.watchdog(**asked)
        watchdog.start()
        assert supervisor.received() == b"STATUS=1 of 1 cameras live"
        supervisor.healthy = False
        while supervisor.received() != b"STATUS=the output of a is stuck":
            pass
        watchdog.close()
        supervisor.healthy = True
        assert not supervisor.ended


def test_one_that_never_began_can_be_closed(supervisor: Supervisor) -> None:
    watchdog = supervisor.watchdog()
    watchdog.close()
    assert "watchdog" not in {thread.name for thread in threading.enumerate()}
    assert not supervisor.ended
