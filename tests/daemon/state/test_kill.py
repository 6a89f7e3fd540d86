"""kill -9 at any moment: nothing acknowledged is lost, nothing half-written is read."""

from __future__ import annotations

import random
import signal
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.daemon.state.abused import configuration, enrol, events, persons, reload, state_of
from tests.support.daemon import DaemonProcess
from tests.support.networks import stored
from tests.support.waiting import eventually


class Abuse:
    """Enrols, reloads and reads, each in its own thread, until the daemon is gone; records the responses."""

    def __init__(self, daemon: DaemonProcess, life: int) -> None:
        self.enrolled: set[str] = set()
        self.read: dict[int, dict[str, Any]] = {}
        self._daemon, self._life = daemon, life
        self._threads = [threading.Thread(target=self._until_gone, args=(work,)) for work in (self._enrol, self._read)]
        for thread in self._threads:
            thread.start()

    def wait(self) -> None:
        for thread in self._threads:
            thread.join(40)
            assert not thread.is_alive()

    def _until_gone(self, work: Any) -> None:
        try:
            for turn in range(10_000):
                work(turn)
        except httpx.TransportError:
            return

    def _enrol(self, turn: int) -> None:
        name = f"person {self._life} {turn}"
        if enrol(self._daemon, name).status_code == 201:
            self.enrolled.add(name)

    def _read(self, _turn: int) -> None:
        reload(self._daemon)
        self.read.update({one["id"]: one for one in events(self._daemon)})


@pytest.mark.timeout(400)
@pytest.mark.parametrize("kills", [3, pytest.param(8, marks=pytest.mark.slow)])
def test_what_was_acknowledged_outlives_kills_at_random_moments(kills: int, tmp_path: Path) -> None:
    for name in ("yunet", "sface"):
        stored(name)
    chance = random.Random(2026)
    state = tmp_path / "state"
    enrolled: set[str] = set()
    read: dict[int, dict[str, Any]] = {}
    for life in range(kills):
        daemon = DaemonProcess(tmp_path, configuration(), state_of(state))
        with daemon:
            _all_is_there(daemon, enrolled, read)
            abuse = Abuse(daemon, life)
            if life % 2:  # while it works; else perhaps before it has begun
                eventually(lambda: bool(abuse.enrolled and abuse.read), 30)  # noqa: B023
            time.sleep(chance.uniform(0.2, 1.5))
            daemon.signal(signal.SIGKILL)
            daemon.exit_code()
            abuse.wait()
        enrolled |= abuse.enrolled
        read |= abuse.read
        for file in ("faces.db", "events.db"):
            assert _integrity(state / file) == "ok"
    assert len(enrolled) >= kills // 2
    assert len(read) > 3 * kills
    with DaemonProcess(tmp_path, configuration(), state_of(state)) as daemon:
        _all_is_there(daemon, enrolled, read)
        ids = [one["id"] for one in events(daemon)]
        assert ids == sorted(set(ids))
        started = [one for one in events(daemon) if one["kind"] == "daemon.started"]
        assert len(started) >= kills


def _all_is_there(daemon: DaemonProcess, enrolled: set[str], read: dict[int, dict[str, Any]]) -> None:
    assert enrolled <= persons(daemon)
    now = {one["id"]: one for one in events(daemon)}
    assert {number: now.get(number) for number in read} == read
    for name in enrolled:
        assert len(daemon.get(f"/api/v1/faces/{name}").json()["photos"]) == 1, (
            "a person is there with their face, or not"
        )


def _integrity(path: Path) -> str:
    connection = sqlite3.connect(path)
    try:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])
    finally:
        connection.close()
