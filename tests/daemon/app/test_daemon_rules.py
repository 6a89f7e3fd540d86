"""A real daemon stores what its rules select; a reload changes them while everything else runs on."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from sightd.daemon.events.journal_reader import JournalReader
from sightd.plugins.api import Phase
from tests.support.daemon import DaemonProcess, one_object_network
from tests.support.waiting import eventually

pytestmark = pytest.mark.waiting


def configuration(folder: Path, label: str) -> dict[str, Any]:
    """A camera that sees one "thing" all the time, and a rule about zones and a class."""
    return {
        "cameras": {"gate": {"source": "testpattern://", "width": 64, "height": 48, "fps": 5}},
        "chain": ["detector", "tracker", "zones"],
        "plugins": {"detector": one_object_network(folder), "zones": {}},
        "rtsp": {"enabled": False},
        "http": {"port": 0},
        "events": {"rules": {
            "things": {"kinds": ["zone.entered"], "classes": [label]}, "new": {"kinds": ["object.new"]},
        }},
        "delivery": {"sinks": {"lines": {
            "type": "jsonl", "path": str(folder / "events.jsonl"), "rules": ["things"],
        }}},
    }  # fmt: skip


def entered(daemon: DaemonProcess) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = daemon.get("/api/v1/events?after=0&kind=zone.entered").json()
    return found


def add_zone(daemon: DaemonProcess, name: str) -> None:
    everywhere = {"corners": [[0, 0], [1, 0], [1, 1], [0, 1]], "min_dwell": 0}
    answer = httpx.put(daemon.url(f"/api/v1/zones/gate/{name}"), json=everywhere, headers={"X-Sightd": "1"})
    assert answer.status_code == 200, answer.text


@pytest.mark.slow
def test_rules_decide_what_is_stored_and_a_reload_changes_them(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, configuration(tmp_path, "person")) as daemon:
        suppressed = {"rule": "things", "reason": "classes"}
        add_zone(daemon, "first")
        eventually(lambda: daemon.metric("sightd_events_suppressed_total", **suppressed) == 1, 60, "it is counted")
        assert entered(daemon) == []
        changed = yaml.safe_load(daemon.path.read_text())
        changed["events"]["rules"]["things"]["classes"] = ["thing"]
        daemon.path.write_text(yaml.safe_dump(changed))
        daemon.signal(signal.SIGHUP)
        eventually(lambda: daemon.get("/api/v1/events?kind=config.reloaded").json() != [])
        [reloaded] = daemon.get("/api/v1/events?kind=config.reloaded").json()
        assert reloaded["facts"] == {"outcome": "applied", "event_rules": ["things"]}
        add_zone(daemon, "second")
        eventually(lambda: len(entered(daemon)) == 1, 60, "the event is stored")
        [event] = entered(daemon)
        assert (event["zone"], event["facts"]["rules"]) == ("second", ["things"])
        lines = tmp_path / "events.jsonl"
        eventually(lambda: lines.exists() and len(lines.read_text().splitlines()) == 1, 30, "the sink got it")
        assert json.loads(lines.read_text())["id"] == event["id"]
        assert daemon.terminate()[0] == 0
    stored = JournalReader(tmp_path / "state" / "events.db").after(0, 100)
    lasted = [one for one in stored if one.camera == "gate" and one.phase is not Phase.ONCE]
    begun = [one for one in lasted if one.phase is Phase.BEGAN]
    assert [one.kind for one in begun] == ["object.new", "zone.occupied", "zone.entered", "zone.occupied"]
    ends = {one.began: (one.kind, one.facts["reason"]) for one in lasted if one.phase is Phase.ENDED}
    assert ends == {one.id: (one.kind, "stopped") for one in begun}, "the daemon ends what nobody else can"
