"""What plug-ins have begun ends when they forget the camera, and only then."""

from __future__ import annotations

import pytest

from sightd.daemon.events.event import PendingEvent
from sightd.daemon.events.open_events import OpenEvents
from sightd.plugins.api import EventRef, JsonValue, Phase

ENTERED: dict[str, JsonValue] = {"zone": "door", "track": 7}


class Camera:
    """The events of a camera's plug-ins, and those that were passed on."""

    def __init__(self) -> None:
        self.passed_on: list[PendingEvent] = []
        self.open = OpenEvents(self.passed_on.append, clock=lambda: 50.0)

    def begin(self, at: float, plugin: str = "zones", track: int = 7) -> EventRef:
        facts = {**ENTERED, "track": track}
        self.open.record(PendingEvent("zone.entered", at, "yard", plugin, facts, phase=Phase.BEGAN))
        return EventRef("zone.entered", at, facts)

    def leave(self, began: EventRef, plugin: str = "zones") -> None:
        self.open.record(PendingEvent("zone.left", 9.0, "yard", plugin, {}, began, Phase.ENDED))

    def ends(self) -> list[PendingEvent]:
        """Those that the daemon added."""
        return [one for one in self.passed_on if "reason" in one.facts]


def ended(at: float, reason: str, track: int = 7) -> PendingEvent:
    facts = {**ENTERED, "track": track}
    about = EventRef("zone.entered", at, facts)
    return PendingEvent("zone.entered", 50.0, "yard", "zones", {**facts, "reason": reason}, about, Phase.ENDED)


def test_what_lasts_is_ended_by_an_event_of_its_kind_with_its_facts_and_a_reason() -> None:
    yard = Camera()
    yard.leave(yard.begin(1.0))
    yard.begin(2.0)
    yard.open.record(PendingEvent("line.crossed", 3.0, "yard", "zones"))
    yard.open.end("frame_size")
    yard.open.end("frame_size")
    assert yard.ends() == [ended(2.0, "frame_size")]
    assert len(yard.passed_on) == 5, "all are passed on"


@pytest.mark.parametrize(("at", "plugin"), [(1.5, "zones"), (2.0, "others")])
def test_an_end_closes_exactly_the_one_that_it_names(at: float, plugin: str) -> None:
    yard = Camera()
    yard.begin(2.0)
    yard.leave(EventRef("zone.entered", at, ENTERED), plugin)
    yard.open.end("stopped")
    assert yard.ends() == [ended(2.0, "stopped")]


def test_what_begins_after_the_camera_has_stopped_ends_at_once() -> None:
    yard = Camera()
    yard.open.close()
    yard.begin(2.0)
    assert yard.ends() == [ended(2.0, "stopped")]


def test_of_too_many_that_last_the_oldest_is_ended() -> None:
    yard = Camera()
    for number in range(1002):
        yard.begin(1.0 + number, track=number)
    assert yard.ends() == [ended(1.0, "too_many", 0), ended(2.0, "too_many", 1)]
