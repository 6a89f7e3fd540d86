"""An event as text names its subject and lists no empty fields; as JSON it has one form everywhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from sightd.daemon.events.event import Event, EventKind, PendingEvent, describe, event_of
from sightd.plugins.api import Phase

SCHEMA = json.loads((Path(__file__).resolve().parents[3] / "config" / "event.schema.json").read_text())
EVENTS = (
    Event(1, EventKind.DAEMON_STOPPED, 0.0, None, None, {}),
    Event(812, "zone.left", 1.7e9, "gate", "zones", {
        "zone": "yard", "line": "fence", "class": "dog", "track": 7, "person": "Ann", "score": 0.5, "seconds": [3.5],
    }, Phase.ENDED, 790, snapshot=True, clean_snapshot=True, clip=True),
)  # fmt: skip


@pytest.mark.parametrize(
    ("happening", "line"),
    [
        (PendingEvent(EventKind.CAMERA_DOWN, 0.0, camera="d", facts={"reason": "eof"}),
         "camera d: camera.down, reason eof (stream ended)"),
        (PendingEvent(EventKind.PLUGIN_UP, 0.0, plugin="face", facts={"away": 3.25}),
         "plug-in face: plugin.up, away 3.2"),
        (PendingEvent("motion.began", 0.0, "d", "motion", {"share": 0.0213, "least": 0.0}),
         "camera d: motion.began, share 0.021, least 0"),
        (PendingEvent(EventKind.DAEMON_STOPPED, 0.0), "daemon.stopped"),
    ],
)  # fmt: skip
def test_it_names_its_subject_and_facts(happening: PendingEvent, line: str) -> None:
    assert describe(happening) == line


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        ({"outcome": "applied", "added": ("c", "d"), "changed": (), "removed": []}, "outcome applied, added c d"),
        ({"outcome": "applied", "added": [], "changed": [], "reason": "", "x": None}, "outcome applied"),
        ({"outcome": "refused", "count": 0}, "outcome refused, count 0"),
        ({"reason": "c.yaml:1:1: x\n    fix it"}, "reason c.yaml:1:1: x fix it"),
    ],
)
def test_empty_facts_are_left_out(facts: Mapping[str, Any], line: str) -> None:
    assert describe(PendingEvent(EventKind.CONFIG_RELOADED, 0.0, facts=facts)) == f"config.reloaded, {line}"


@pytest.mark.parametrize("event", EVENTS, ids=["bare", "full"])
def test_the_committed_schema_describes_every_field_of_the_json_form(event: Event) -> None:
    form = event.for_json()
    jsonschema.validate(form, SCHEMA, jsonschema.Draft202012Validator)
    assert list(form) == SCHEMA["required"] == list(SCHEMA["properties"])
    assert SCHEMA["properties"]["phase"]["enum"] == list(Phase)


@pytest.mark.parametrize("event", EVENTS, ids=["bare", "full"])
def test_an_event_is_the_same_after_a_way_through_json(event: Event) -> None:
    assert event_of(json.loads(json.dumps(event.for_json()))) == event


def test_common_facts_are_fields_and_media_are_paths() -> None:
    form = EVENTS[1].for_json()
    names = ("zone", "line", "class", "track", "person", "score")
    assert [form[name] for name in names] == ["yard", "fence", "dog", 7, "Ann", 0.5]
    assert (form["phase"], form["began"], form["clip"]) == ("ended", 790, "/api/v1/events/812/clip.mp4")
    assert form["facts"] == EVENTS[1].facts


def test_a_common_fact_of_another_type_is_only_a_fact() -> None:
    facts = {"zone": ["yard"], "class": 3, "track": True, "person": None, "score": "high", "line": 1}
    form = Event(1, "door.opened", 0.0, None, None, facts).for_json()
    assert [form[name] for name in facts] == [None] * 6
    assert Event(1, "door.opened", 0.0, None, None, {"track": 2**63}).for_json()["track"] is None


def test_the_form_of_an_older_sightd_is_understood() -> None:
    form = {"id": 7, "kind": "camera.up", "time": "1970-01-01T00:00:01Z", "camera": "a", "plugin": None, "facts": {}}
    assert event_of(form) == Event(7, "camera.up", 1.0, "a", None, {})
