"""`sightd delivery` shows sinks, and lists, retries and deletes the events that they refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sightd.daemon.cli.main import main
from sightd.daemon.delivery.store import SinkStore, dead_letters, store_path
from sightd.daemon.events.event import Event


@pytest.fixture
def letters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIGHTD_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    for name in ("alarm", "home"):
        store = SinkStore(store_path({"SIGHTD_STATE_DIR": str(tmp_path)}, name), lambda: 0)
        for number in (7, 9) if name == "alarm" else ():
            store.bury(Event(number, "camera.up", 1.0, "gate", None, {}), "status 404", 10)
        store.close()
    return store_path({"SIGHTD_STATE_DIR": str(tmp_path)}, "alarm")


@pytest.mark.usefixtures("letters")
def test_they_are_listed_as_a_table_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["delivery", "list"]) == 0
    titles, first, second = capsys.readouterr().out.splitlines()
    assert titles.split() == ["SINK", "SINCE", "EVENT", "KIND", "RETRY", "REASON"]
    assert first.split()[0] == "alarm"
    assert first.split()[3:] == ["7", "camera.up", "no", "status", "404"]
    assert second.split()[3] == "9"
    assert main(["delivery", "list", "alarm", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["sink"], one["reason"], one["event"]["id"]) for one in lines] == [
        ("alarm", "status 404", 7),
        ("alarm", "status 404", 9),
    ]


@pytest.mark.usefixtures("letters")
def test_without_a_daemon_the_files_say_how_sinks_are_doing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["delivery"]) == 0
    _, alarm, home = capsys.readouterr().out.splitlines()
    assert alarm.split() == ["alarm", "-", "-", "-", "2", "0", "-"]
    assert home.split() == ["home", "-", "-", "-", "0", "0", "-"]


def test_letters_are_marked_to_be_sent_again(letters: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["delivery", "retry", "alarm", "9"]) == 0
    assert capsys.readouterr().out == "dead letters of sink alarm will be sent again: 9\n"
    assert [(one.event["id"], one.retry) for one in dead_letters(letters)] == [(7, False), (9, True)]
    assert main(["delivery", "retry", "alarm"]) == 0
    assert all(one.retry for one in dead_letters(letters))


def test_only_the_named_letters_are_deleted_or_all_on_request(
    letters: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["delivery", "delete", "alarm"]) == 2
    assert "name events, or write --all" in capsys.readouterr().err
    assert main(["delivery", "delete", "alarm", "7", "8"]) == 1
    assert "no dead letter of event 8" in capsys.readouterr().err
    assert [one.event["id"] for one in dead_letters(letters)] == [9]
    assert main(["delivery", "delete", "alarm", "--all"]) == 0
    assert dead_letters(letters) == []


@pytest.mark.usefixtures("letters")
def test_a_sink_without_any_and_one_that_does_not_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["delivery", "list", "home"]) == 0
    assert capsys.readouterr().out == "there are no dead letters\n"
    assert main(["delivery", "retry", "nowhere"]) == 2
    assert "there are: alarm, home" in capsys.readouterr().err
