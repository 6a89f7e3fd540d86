"""`sightd events` shows what happened, as text and as JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sightd.daemon.cli.main import main
from sightd.daemon.events.event import EventKind
from sightd.daemon.events.journal import Journal
from tests.support.event_counts import EventCounts
from tests.support.waiting import eventually


@pytest.fixture
def path(tmp_path: Path) -> Path:
    journal = Journal(tmp_path / "events.db", 86400.0, 1000, EventCounts())
    journal.start()
    for number in range(60):
        journal.note(
            EventKind.CAMERA_DOWN, camera="door" if number % 2 else "yard", reason="timeout", last_picture=None
        )
    journal.note(EventKind.PLUGIN_UP, plugin="detector", away=12.34)
    journal.close()
    return journal.reader.path


def ids(output: str) -> list[int]:
    return [json.loads(line)["id"] for line in output.splitlines()]


def test_the_newest_fifty_in_words(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["events", "--journal", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 50
    assert lines[-1].endswith("61  plug-in detector: plugin.up, away 12.3")
    assert lines[-2].endswith("60  camera door: camera.down, reason timeout (no answer)")


def test_for_programs_by_camera_kind_and_time(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["events", "--journal", str(path), "--json"]
    assert main([*base, "--since", "1h"]) == 0
    assert ids(capsys.readouterr().out) == list(range(1, 62))
    assert main([*base, "--camera", "door", "--kind", "camera.down"]) == 0
    assert ids(capsys.readouterr().out) == list(range(2, 62, 2))
    assert main([*base, "--since", "1us"]) == 0
    assert capsys.readouterr().out == ""


def test_a_configuration_names_the_journal(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = path.parent / "site.yaml"
    file.write_text("cameras: {a: {source: 'testpattern://'}}\nevents: {path: events.db}\n")
    assert main(["events", "-c", str(file), "--json"]) == 0
    assert len(ids(capsys.readouterr().out)) == 50


def test_who_reads_changes_nothing(path: Path) -> None:
    before = path.read_bytes()
    assert main(["events", "--journal", str(path)]) == 0
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path], "no file stays behind that another user could not write"


def test_where_there_is_none_that_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["events", "--journal", str(tmp_path / "none.db")]) == 1
    assert "does not exist or is empty" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.timeout(30)
@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_refused_at_once(
    make: Callable[[Path], object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / "it.db")
    assert main(["events", "--journal", str(tmp_path / "it.db")]) == 1
    assert "it.db: not a regular file" in capsys.readouterr().err


def test_new_ones_are_followed(path: Path) -> None:
    command = [sys.executable, "-u", "-m", "sightd", "events", "--journal", str(path), "--json", "--follow"]
    with (path.parent / "out").open("w") as out:
        process = subprocess.Popen(command, cwd=Path(__file__).parents[3], stdout=out, env=dict(os.environ))
    try:
        shown = path.parent / "out"
        eventually(lambda: ids(shown.read_text())[-1:] == [61], 20)
        journal = Journal(path, 86400.0, 1000, EventCounts())
        journal.start()
        journal.note(EventKind.CAMERA_UP, camera="door")
        eventually(lambda: ids(shown.read_text())[-1:] == [62], 20)
        journal.close()
    finally:
        process.terminate()
        process.wait(10)
