"""The reported reason for a camera's outage is the current one, not an earlier one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from sightd.daemon.capture.errors import Reason
from sightd.daemon.events.availability import CameraAvailability, ReportedState
from sightd.daemon.events.event import EventKind
from sightd.daemon.events.journal import Journal
from sightd.daemon.metrics.registry import Metrics


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    events = Metrics(CollectorRegistry(), "1", event_kinds=list(EventKind)).events
    journal = Journal(tmp_path / "events.db", 86400.0, 1000, events)
    journal.start()
    yield journal
    journal.close()


def reasons(journal: Journal) -> list[str]:
    journal.close()
    return [event.facts["reason"] for event in journal.reader.after(0, 100) if event.kind == EventKind.CAMERA_DOWN]


def test_an_outage_that_was_over_before_the_slate_came_is_no_reason_for_the_next(journal: Journal) -> None:
    availability = CameraAvailability(
        "door", Metrics(CollectorRegistry(), "1").camera("door"), journal, ReportedState()
    )
    availability.found()
    availability.fault(Reason.REFUSED)
    availability.connected()  # within a second: viewers noticed nothing
    availability.lost(None, 0.0, 1.3)
    assert reasons(journal) == ["silent"]


def test_a_camera_that_sends_only_damaged_frames_is_not_called_silent(journal: Journal) -> None:
    availability = CameraAvailability(
        "door", Metrics(CollectorRegistry(), "1").camera("door"), journal, ReportedState()
    )
    availability.frame(damaged=False)
    assert str(availability.reason) == "silent"
    availability.found()
    availability.frame(damaged=True)
    availability.lost(None, 0.0, 1.3)
    assert str(availability.reason) == "decode"
    assert reasons(journal) == ["decode"]


def test_what_keeps_it_away_is_reported(journal: Journal) -> None:
    availability = CameraAvailability(
        "door", Metrics(CollectorRegistry(), "1").camera("door"), journal, ReportedState()
    )
    availability.found()
    availability.fault(Reason.REFUSED)
    availability.lost(None, 0.0, 1.3)
    assert reasons(journal) == ["refused"]


def test_a_camera_that_is_changed_while_it_runs_is_reported_only_if_something_is_new(journal: Journal) -> None:
    reported = ReportedState()

    def availability() -> CameraAvailability:
        """Each run has its own."""
        return CameraAvailability("door", Metrics(CollectorRegistry(), "1").camera("door"), journal, reported)

    availability().found()
    availability().found()
    availability().lost("refused", 0.0, 1.3)
    availability().lost("refused", None, 1.3)
    availability().found()
    journal.close()
    events = journal.reader.after(0, 100)
    assert [event.kind for event in events] == [EventKind.CAMERA_UP, EventKind.CAMERA_DOWN, EventKind.CAMERA_UP]
    assert events[1].facts["last_picture"] is not None
    assert events[2].facts["away"] >= 1.3


def test_what_lasts_is_ended_by_what_follows_and_when_the_camera_is_removed(journal: Journal) -> None:
    reported = ReportedState()
    camera = CameraAvailability("door", Metrics(CollectorRegistry(), "1").camera("door"), journal, reported)
    camera.found()
    camera.lost("refused", 0.0, 1.3)
    camera.found()
    camera.timeliness(3.0, late=True)
    camera.timeliness(0.1, late=False)
    camera.timeliness(3.0, late=True)
    camera.lost("refused", 0.0, 1.3)
    for _ in range(2):
        reported.removed("door", journal)
    journal.close()
    assert [(str(one.kind), str(one.phase), one.began) for one in journal.reader.after(0, 100)] == [
        ("camera.up", "once", None),
        ("camera.down", "began", None),
        ("camera.up", "ended", 2),
        ("camera.late", "began", None),
        ("camera.on_time", "ended", 4),
        ("camera.late", "began", None),
        ("camera.down", "began", None),
        ("camera.down", "ended", 7),
        ("camera.late", "ended", 6),
    ]
