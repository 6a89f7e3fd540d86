"""`sightd events` shows what happened, as text and as JSON, counts it and writes it to files."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sightd.daemon.cli.main import main
from sightd.daemon.config.model import Http
from sightd.daemon.events.event import EventKind, PendingEvent
from sightd.daemon.events.journal import Journal
from sightd.daemon.events.store import EventStore
from sightd.daemon.serve.http.app import create_app
from sightd.daemon.serve.http.server import HttpServer
from sightd.plugins.api import EventRef, JsonValue, Phase
from tests.daemon.serve.http.test_app import View
from tests.support.access import NO_TOKENS
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


NOON = 1_772_366_400.0
"""2026-03-01, 12:00 UTC."""


@pytest.fixture
def zones(tmp_path: Path) -> Path:
    """A journal of Ann, who was in a zone from half past eleven to noon, of a dog, and of a failure."""
    path = tmp_path / "zones.db"
    facts: dict[str, JsonValue] = {"zone": "drive", "class": "person", "track": 7, "person": "Ann"}
    began = EventRef("zone.entered", NOON - 1800, facts)
    events = [
        PendingEvent("zone.entered", NOON - 1800, "gate", "zones", facts, phase=Phase.BEGAN),
        PendingEvent("zone.entered", NOON - 60, "yard", "zones", {"zone": "lawn", "class": "dog", "track": 8}),
        PendingEvent("zone.left", NOON, "gate", "zones", facts, began, Phase.ENDED),
        PendingEvent("camera.down", NOON + 60, "gate", None, {"reason": "timeout"}, rules=("outage",)),
    ]  # fmt: skip
    with closing(EventStore(path)) as store:
        store.append(events, 100)
    return path


@pytest.fixture(params=["file", "daemon"])
def chosen(request: pytest.FixtureRequest, zones: Path) -> Iterator[list[str]]:
    """The options that select the journal: its file, or a daemon that serves it."""
    if request.param == "file":
        yield ["--journal", str(zones)]
        return
    journal = Journal(zones, float("inf"), 100, EventCounts())
    journal.start()
    server = HttpServer(Http(port=0), create_app(View(), lambda _: (b"", "text/plain"), 8, NO_TOKENS, journal=journal))
    server.start()
    yield ["--url", f"http://127.0.0.1:{server.port}"]
    server.close()
    journal.close()


FILTERS: list[tuple[list[str], list[int]]] = [
    (["--kind", "zone.*", "--kind", "camera.down"], [1, 2, 3, 4]),
    (["--zone", "lawn"], [2]),
    (["--person", "Ann", "--class", "person", "--track", "7"], [1, 3]),
    (["--phase", "ended", "--began", "1"], [3]),
    (["--text", "TIMEOUT"], [4]),
    (["--rule", "outage"], [4]),
    (["--since", "2026-03-01T11:59:00Z", "--until", "2026-03-01T13:00:30+01:00"], [2, 3]),
]


def test_events_are_selected_by_every_field(chosen: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for options, expected in FILTERS:
        assert main(["events", *chosen, *options, "--json"]) == 0
        assert ids(capsys.readouterr().out) == expected, options


def test_events_are_counted_in_a_table_and_as_json(chosen: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--since", "2026-03-01T10:00Z", "--until", "2026-03-01T12:30Z", "--timezone", "Asia/Kathmandu"]
    command = ["events", "--kind", "zone.*", "statistics", *chosen, *options, "--per", "hour", "--by", "zone"]
    assert main(command) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["2026-03-01", "15:00+05:45", "to", "2026-03-01", "19:00+05:45"],
        ["TIME", "ZONE", "COUNT"],
        ["2026-03-01", "17:00+05:45", "drive", "2"],
        ["2026-03-01", "17:00+05:45", "lawn", "1"],
    ]
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"][0] == {
        "time": "2026-03-01T17:00:00+05:45", "zone": "drive", "count": 2,
    }  # fmt: skip


def test_events_are_written_to_a_file(chosen: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "out.csv"
    assert main(["events", "export", *chosen, "--format", "csv", "-o", str(file), "--camera", "gate"]) == 0
    with file.open(newline="") as lines:
        assert [(row["id"], row["person"]) for row in csv.DictReader(lines)] == [("1", "Ann"), ("3", "Ann"), ("4", "")]
    assert main(["events", "export", *chosen, "--format", "jsonl"]) == 0
    assert ids(capsys.readouterr().out) == [1, 2, 3, 4]


def test_an_export_that_fails_leaves_the_file_as_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "out.csv"
    file.write_text("before")
    assert main(["events", "export", "--journal", str(tmp_path / "none.db"), "--format", "csv", "-o", str(file)]) == 1
    assert "does not exist" in capsys.readouterr().err
    assert file.read_text() == "before"


def test_parquet_goes_to_a_file(zones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["events", "export", "--journal", str(zones), "--format", "parquet"]
    assert main(command) == 2
    assert "add --output FILE" in capsys.readouterr().err
    parquet = pytest.importorskip("pyarrow.parquet")
    assert main([*command, "--output", str(tmp_path / "out.parquet")]) == 0
    assert parquet.read_table(tmp_path / "out.parquet").column("id").to_pylist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--follow", "--until", "1h"], "--follow cannot be combined with --until"),
        (["--since", "yesterday"], "such as 30m, 2h or 7d, or a date and time"),
        (["statistics", "--timezone", "Nowhere"], "the time zone 'Nowhere' is unknown"),
        (["statistics", "--since", "1h", "--until", "2h"], "since is not before until"),
        (["statistics", "--per", "minute"], "'hour', 'day'"),
    ],
)
def test_what_makes_no_sense_is_refused(
    options: list[str], message: str, zones: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(["events", "--journal", str(zones), *options])
    except SystemExit as end:
        code = int(end.code or 0)
    assert code == 2
    assert message in capsys.readouterr().err
