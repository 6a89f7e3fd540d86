"""Two daemons never share a state directory; other readers and writers are not blocked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sightd.daemon.app.resources import FILE, StateInUseError, locked_state
from sightd.daemon.config.load import LoadedConfig, load_text
from tests.support.daemon import DaemonProcess
from tests.support.stub_plugins import STUBS
from tests.support.waiting import eventually

pytestmark = pytest.mark.waiting

PATTERN = {"cameras": {"a": {"source": "testpattern://", "width": 320, "height": 240, "fps": 5}}, "chain": []}


def loaded(path: Path, events: str = "") -> LoadedConfig:
    text = f"cameras: {{a: {{source: 'testpattern://'}}}}\nchain: []\n{events}"
    return load_text(text, path, environ={}, plugins=STUBS)


def test_the_second_is_refused_and_names_the_first(tmp_path: Path) -> None:
    environ = {"SIGHTD_STATE_DIR": str(tmp_path / "state")}
    with locked_state(loaded(tmp_path / "first.yaml"), environ):
        expected = f"in use by another sightd .process {os.getpid()}, configuration {tmp_path}/first.yaml"
        with (
            pytest.raises(StateInUseError, match=expected),
            locked_state(loaded(tmp_path / "second.yaml"), environ),
        ):
            pass
    with locked_state(loaded(tmp_path / "second.yaml"), environ):
        pass


def test_a_journal_elsewhere_is_locked_too(tmp_path: Path) -> None:
    events = f"events: {{path: {tmp_path / 'events.db'}}}"
    one, other = ({"SIGHTD_STATE_DIR": str(tmp_path / name)} for name in ("one", "other"))
    with (
        locked_state(loaded(tmp_path / "a.yaml", events), one),
        pytest.raises(StateInUseError, match=r"the journal .*events.db is in use"),
        locked_state(loaded(tmp_path / "b.yaml", events), other),
    ):
        pass


def test_processes_started_meanwhile_do_not_keep_it(tmp_path: Path) -> None:
    environ = {"SIGHTD_STATE_DIR": str(tmp_path)}
    with locked_state(loaded(tmp_path / "a.yaml"), environ):
        program = "print(flush=True); input()"
        child = subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False
        )
        assert child.stdout is not None
        child.stdout.readline()  # it runs, so files that close on exec are closed
    try:
        with locked_state(loaded(tmp_path / "a.yaml"), environ):
            pass
    finally:
        child.communicate(b"\n", timeout=20)


def test_a_state_that_cannot_be_written_is_no_reason_to_serve_no_video(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    with locked_state(loaded(tmp_path / "a.yaml"), {"SIGHTD_STATE_DIR": str(tmp_path / "file" / "state")}):
        assert "cannot be locked" in caplog.text


def test_a_second_daemon_ends_before_it_writes_anything(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, PATTERN) as first:
        eventually(lambda: len(events(first)) > 0)
        before = [one["kind"] for one in events(first)]
        assert before[0] == "daemon.started"
        other = tmp_path / "other"
        other.mkdir()
        second = DaemonProcess(other, PATTERN, {"SIGHTD_STATE_DIR": str(tmp_path / "state")})
        second.spawn()
        try:
            assert second.exit_code(60) == 1
            assert f"process {first.pid}, configuration {first.path}" in second.log
        finally:
            second.close()
        assert [one["kind"] for one in events(first)].count("daemon.started") == before.count("daemon.started")
        assert (tmp_path / "state" / FILE).read_text().startswith(f"process {first.pid},")
        first.close()
        with DaemonProcess(other, PATTERN, {"SIGHTD_STATE_DIR": str(tmp_path / "state")}) as after_a_kill:
            assert after_a_kill.get("/healthz").status_code == 200


def events(daemon: DaemonProcess) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = daemon.get("/api/v1/events").json()
    return found
