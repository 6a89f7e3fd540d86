"""Turns what happened in zones into events; those that a frame has no room for wait for the next ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sightd.plugins.api import MAX_EVENTS, Event, EventRef, JsonValue, Phase
from sightd.plugins.zones.state import Beginning, Happening, Kind

_MOST_WAITING = 1000
"""Events of a camera that wait for a frame; later ones are dropped, and counted."""
_KMH = 3.6
_OBJECT = ("zone", "class", "track", "person")
FACTS: Mapping[Kind, tuple[str, ...]] = {
    Kind.ENTERED: _OBJECT,
    Kind.LEFT: (*_OBJECT, "seconds", "reason"),
    Kind.OCCUPIED: _OBJECT,
    Kind.EMPTY: ("zone", "seconds"),
    Kind.CROWDED: ("zone", "number", "seconds", "reason"),
    Kind.CROSSED: ("line", "direction", "class", "track", "person", "speed_kmh", "heading"),
    Kind.LOITERING: (*_OBJECT, "seconds", "reason"),
    Kind.LEFT_BEHIND: (*_OBJECT, "seconds", "reason"),
    Kind.REMOVED: (*_OBJECT, "seconds"),
}
"""All facts that `facts_of` may give an event of a kind."""


@dataclass(frozen=True, slots=True, eq=False)
class EventQueue:
    """What of one camera is still to be reported, oldest first, and the events that have begun and not ended."""

    waiting: tuple[Happening, ...] = ()
    begun: Mapping[Beginning, EventRef] = field(default_factory=dict)

    def reported(self, happened: Sequence[Happening], at: float) -> tuple[EventQueue, tuple[Event, ...], int]:
        """Returns the queue after a frame at `at` (seconds since the epoch) on which this happened, the frame's events,
        and how many were dropped."""
        every = (*self.waiting, *happened)
        now, waiting = every[:MAX_EVENTS], every[MAX_EVENTS : MAX_EVENTS + _MOST_WAITING]
        begun = dict(self.begun)
        events = tuple(_event(one, at, begun) for one in now)
        return EventQueue(waiting, begun), events, len(every) - len(now) - len(waiting)


def _event(one: Happening, at: float, begun: dict[Beginning, EventRef]) -> Event:
    """Returns the event of a frame at `at`, and keeps `begun` up to date. The end of something whose beginning was
    dropped stands by itself."""
    facts = facts_of(one)
    if one.lasts:
        begun[one.beginning] = EventRef(str(one.kind), at, facts)
        return Event(str(one.kind), facts, phase=Phase.BEGAN)
    about = None if one.ends is None else begun.pop(one.ends, None)
    return Event(str(one.kind), facts, about, Phase.ONCE if about is None else Phase.ENDED)


def facts_of(one: Happening) -> dict[str, JsonValue]:
    """Returns the facts of the event that reports something."""
    facts: dict[str, JsonValue] = {"line" if one.kind is Kind.CROSSED else "zone": one.where}
    if one.direction is not None:
        facts["direction"] = str(one.direction)
    if one.number is not None:
        facts["number"] = one.number
    if one.subject is not None:
        facts |= {"class": one.subject.label, "track": one.subject.track}
        if one.subject.person is not None:
            facts["person"] = one.subject.person
    if one.dwell is not None:
        facts["seconds"] = round(one.dwell, 1)
    if one.reason is not None:
        facts["reason"] = str(one.reason)
    if one.speed is not None:
        facts["speed_kmh"] = round(one.speed * _KMH, 1)
    if one.heading is not None:
        facts["heading"] = round(one.heading)
    return facts
