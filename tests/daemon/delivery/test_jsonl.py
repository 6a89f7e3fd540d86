"""Events are written as whole lines, to a file that may be rotated and to a pipe that nobody may read."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sightd.daemon.config.delivery import JsonlOptions
from sightd.daemon.delivery import jsonl
from sightd.daemon.delivery.jsonl import LinesInFile, LinesOnStdout
from sightd.daemon.delivery.sink import UnavailableError
from sightd.daemon.events.event import Event
from tests.daemon.delivery.harness import DeliveryHarness

pytestmark = pytest.mark.waiting


def event(number: int, **facts: str) -> Event:
    return Event(number, "camera.up", 1.0, "gate", None, facts)


def ids(text: str) -> list[int]:
    return [json.loads(line)["id"] for line in text.splitlines()]


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Standard output is a pipe; yields its reading end."""
    reading, writing = os.pipe()
    monkeypatch.setattr(jsonl, "_STDOUT", writing)
    yield reading
    os.close(reading)
    os.close(writing)


def test_events_are_appended_to_a_private_file(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with DeliveryHarness(tmp_path) as events:
        events.apply(file={"type": "jsonl", "path": str(path)})
        sent = events.note(3)
        events.settled("file")
    assert ids(path.read_text()) == sent
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_renamed_file_is_replaced_by_a_new_one(tmp_path: Path) -> None:
    sink = LinesInFile(tmp_path / "events.jsonl")
    sink.send(event(1))
    (tmp_path / "events.jsonl").rename(tmp_path / "events.jsonl.1")
    sink.send(event(2))
    sink.close()
    assert ids((tmp_path / "events.jsonl.1").read_text()) == [1]
    assert ids((tmp_path / "events.jsonl").read_text()) == [2]


def test_half_a_line_of_before_a_power_cut_is_ended(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"id": 1}\n{"id"')
    sink = LinesInFile(path)
    sink.send(event(2))
    sink.close()
    first, half, last = path.read_text().splitlines()
    assert (first, half) == ('{"id": 1}', '{"id"')
    assert json.loads(last)["id"] == 2


def test_a_path_that_is_no_file_is_reported_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnavailableError, match="not a regular file"):
        LinesInFile(tmp_path / "pipe").send(event(1))
    with pytest.raises(UnavailableError, match="No such file or directory"):
        LinesInFile(tmp_path / "absent" / "events.jsonl").send(event(1))


def test_a_reader_that_pauses_gets_every_line_whole(pipe: int) -> None:
    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 8192)
    sink = LinesOnStdout(JsonlOptions.model_validate({"type": "jsonl", "timeout": "50ms"}))
    long = event(1, text="x" * 9000)
    with pytest.raises(UnavailableError, match="nobody reads standard output"):
        sink.send(long)
    text = os.read(pipe, 1 << 20)
    assert b"\n" not in text, "half a line has been written"
    sink.send(long)
    sink.send(event(2))
    text += os.read(pipe, 1 << 20)
    assert ids(text.decode()) == [1, 2]


def test_a_closed_output_is_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    monkeypatch.setattr(jsonl, "_STDOUT", writing)
    with pytest.raises(UnavailableError, match="standard output: Broken pipe"):
        LinesOnStdout(JsonlOptions(type="jsonl")).send(event(1))
    os.close(writing)
