"""Notifications say in plain words what happened."""

from __future__ import annotations

from typing import Any

import pytest

from sightd.daemon.events.event import Event, EventKind
from sightd.daemon.events.words import in_words
from sightd.plugins.api import Phase

GATE = "gate"


@pytest.mark.parametrize(
    ("kind", "facts", "words"),
    [
        ("camera.down", {"reason": "timeout"}, "Camera gate is offline: no answer"),
        ("camera.down", {"reason": "odd"}, "Camera gate is offline: odd"),
        ("camera.up", {"away": None}, "Camera gate is online"),
        ("camera.late", {"age": 9}, "The video of camera gate is late"),
        ("zone.entered", {"class": "person", "zone": "yard"}, "Person entered yard (camera gate)"),
        ("zone.left", {"class": "person", "person": "Ann", "zone": "yard"}, "Ann left yard (camera gate)"),
        ("zone.entered", {"zone": "yard"}, "Something entered yard (camera gate)"),
        ("zone.crowded", {"zone": "yard", "number": 5}, "5 are in yard (camera gate)"),
        ("line.crossed", {"class": "car", "line": "road", "direction": "in"}, "Car crossed road (in) (camera gate)"),
        ("object.loitering", {"class": "person", "zone": "yard", "seconds": 61.7},
         "Person has been in yard for 62 s (camera gate)"),
        ("object.removed", {"class": "suitcase", "zone": "hall"}, "Suitcase was removed from hall (camera gate)"),
        ("face.recognised", {"person": "Ann"}, "Ann was recognised (camera gate)"),
        ("classification.changed", {"class": "day"}, "The picture is now day (camera gate)"),
        ("odd.kind", {"number": 3}, "camera gate: odd.kind, number 3"),
    ],
)  # fmt: skip
def test_an_event_of_a_camera_in_words(kind: str, facts: dict[str, Any], words: str) -> None:
    assert in_words(Event(1, kind, 1.0, GATE, None, facts)) == words


def test_what_ends_is_said_to_end() -> None:
    facts = {"class": "person", "zone": "yard", "seconds": 70.0}
    ended = Event(2, "object.loitering", 1.0, GATE, "zones", facts, Phase.ENDED, 1)
    assert in_words(ended) == "Person is not in yard any more (camera gate)"


@pytest.mark.parametrize("kind", list(EventKind))
def test_every_kind_of_sightd_itself_has_words_even_without_facts(kind: EventKind) -> None:
    words = in_words(Event(1, kind, 1.0, "gate", "face", {}))
    assert kind not in words, "it is not the line of the journal"
    assert words[0].isupper() or words.startswith("sightd")
