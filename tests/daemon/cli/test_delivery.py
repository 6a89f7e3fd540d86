"""`sightd delivery dead` lists the events that sinks refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sightd.daemon.cli.main import main
from sightd.daemon.delivery.store import SinkStore, store_path
from sightd.daemon.events.event import Event


@pytest.fixture
def letters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    monkeypatch.setenv("SIGHTD_STATE_DIR", str(tmp_path))
    events = [Event(number, "camera.up", 1.0, "gate", None, {}) for number in (7, 9)]
    for name in ("alarm", "home"):
        store = SinkStore(store_path({"SIGHTD_STATE_DIR": str(tmp_path)}, name), lambda: 0)
        for event in events if name == "alarm" else []:
            store.bury(event, "status 404", 10)
        store.close()
    return events


@pytest.mark.usefixtures("letters")
def test_they_are_listed_as_a_table_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["delivery", "dead"]) == 0
    titles, first, second = capsys.readouterr().out.splitlines()
    assert titles.split() == ["SINK", "SINCE", "EVENT", "KIND", "REASON"]
    assert first.split()[0] == "alarm"
    assert first.split()[3:] == ["7", "camera.up", "status", "404"]
    assert second.split()[3] == "9"
    assert main(["delivery", "dead", "alarm", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["sink"], one["reason"], one["event"]["id"]) for one in lines] == [
        ("alarm", "status 404", 7),
        ("alarm", "status 404", 9),
    ]


@pytest.mark.usefixtures("letters")
def test_a_sink_without_any_and_one_that_does_not_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["delivery", "dead", "home"]) == 0
    assert capsys.readouterr().out == "there are no dead letters\n"
    assert main(["delivery", "dead", "nowhere"]) == 2
    assert "there are: alarm, home" in capsys.readouterr().err
