"""An event as text names its subject and lists no empty fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from sightd.daemon.events.event import EventKind, PendingEvent, describe


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
