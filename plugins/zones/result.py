"""The result: the numbers of a camera's zones and lines on one frame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from sightd.plugins.api import Count, CounterSpec, GaugeSpec, GaugeValue, JsonOptions, JsonValue, MetricSpec, Results
from sightd.plugins.zones.geometry import Point
from sightd.plugins.zones.movement import motion
from sightd.plugins.zones.plan import CameraPlan
from sightd.plugins.zones.state import CameraState, Direction, Happening, Kind, Subject

ENTRIES, EXITS, CROSSINGS, DROPPED = "zone_entries", "zone_exits", "line_crossings", "zone_events_dropped"
OCCUPANCY, LONGEST_STAY = "zone_occupancy", "zone_longest_stay_seconds"
_FLASH = 0.7
"""A zone or line is highlighted for this long (s) after something has happened there."""
_KMH = 3.6


@dataclass(frozen=True, slots=True)
class ZoneCount:
    """A zone: its corners as fractions of the frame; how many objects entered and left so far, those that entered by
    class, those inside by class, and the names of known persons inside; since how many seconds the one that has been
    inside longest is there, 0 if the zone is empty. `flash`: something has just happened."""

    name: str
    corners: tuple[Point, ...]
    active: bool
    flash: bool
    entered: int
    left: int
    entered_by_class: Mapping[str, int]
    inside_by_class: Mapping[str, int]
    persons: tuple[str, ...]
    longest_stay: float

    @property
    def inside(self) -> int:
        return self.entered - self.left

    def to_json(self) -> dict[str, JsonValue]:
        return {
            "active": self.active,
            "inside": self.inside,
            "entered": self.entered,
            "left": self.left,
            "inside_by_class": self.inside_by_class,
            "entered_by_class": self.entered_by_class,
            "persons": self.persons,
            "longest_stay": round(self.longest_stay, 1),
        }


@dataclass(frozen=True, slots=True)
class LineCount:
    """A line: its ends as fractions of the frame, and how often it was crossed so far, by direction and class."""

    name: str
    points: tuple[Point, ...]
    active: bool
    flash: bool
    crossed: Mapping[Direction, int]
    by_class: Mapping[tuple[str, Direction], int]

    def to_json(self) -> dict[str, JsonValue]:
        labels = dict.fromkeys(label for label, _ in self.by_class)
        return {
            "active": self.active,
            **{str(one): number for one, number in self.crossed.items()},
            "by_class": {
                label: {str(one): self.by_class.get((label, one), 0) for one in Direction} for label in labels
            },
        }


@dataclass(frozen=True, slots=True)
class ObjectPlace:
    """An object in a zone, or on known ground: its track, the zones that it is in, speed in km/h (None if unknown) and
    heading in degrees (0 up in the frame, 90 to the right)."""

    track: int
    zones: tuple[str, ...]
    speed: float | None
    heading: float | None

    def to_json(self) -> dict[str, JsonValue]:
        return {
            "track": self.track,
            "zones": self.zones,
            "speed_kmh": None if self.speed is None else round(self.speed, 1),
            "heading": None if self.heading is None else round(self.heading),
        }


@dataclass(frozen=True, slots=True)
class ZoneCounts:
    """All zones and lines of a camera, and the objects in them. `added` is what the frame adds to the metrics."""

    zones: tuple[ZoneCount, ...] = ()
    lines: tuple[LineCount, ...] = ()
    objects: tuple[ObjectPlace, ...] = ()
    added: tuple[Count, ...] = ()

    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        GaugeSpec(OCCUPANCY, "Objects in a zone now.", "zone"),
        GaugeSpec(LONGEST_STAY, "For how long the object that has been in a zone longest is there; 0: empty.", "zone"),
        CounterSpec(ENTRIES, "Objects that entered a zone.", "class"),
        CounterSpec(EXITS, "Objects that left a zone; entries less exits are inside.", "class"),
        CounterSpec(CROSSINGS, "Line crossings.", "direction", tuple(map(str, Direction))),
        CounterSpec(DROPPED, "Events of zones and lines that were dropped because too many happened at once."),
    )

    def counts(self) -> Iterator[Count]:
        if self.lines:  # so that crossings are counted from 0
            yield from (Count(CROSSINGS, str(one), 0) for one in Direction)
        yield from self.added

    def gauges(self) -> Iterator[GaugeValue]:
        for zone in self.zones:
            yield GaugeValue(OCCUPANCY, zone.name, zone.inside)
            yield GaugeValue(LONGEST_STAY, zone.name, zone.longest_stay)

    def to_json(self, results: Results, options: JsonOptions) -> dict[str, JsonValue]:
        """Returns "zones" and "lines" by name, and "objects"."""
        return {
            "zones": {zone.name: zone.to_json() for zone in self.zones},
            "lines": {line.name: line.to_json() for line in self.lines},
            "objects": [one.to_json() for one in self.objects],
        }


def counts_of(state: CameraState, plan: CameraPlan, at: float, added: tuple[Count, ...] = ()) -> ZoneCounts:
    """Returns the numbers as they are shown at `at` (captured_at, s)."""
    return ZoneCounts(
        tuple(_zone(zone.name, zone.fractions, state, at) for zone in plan.zones if zone.name in state.zones),
        tuple(_line(line.name, line.fractions, state, at) for line in plan.lines if line.name in state.lines),
        tuple(_objects(state, plan)),
        added,
    )


def _zone(name: str, corners: tuple[Point, ...], state: CameraState, at: float) -> ZoneCount:
    tally = state.zones[name]
    inside = [one for one in state.subjects.values() if (presence := one.presences.get(name)) and presence.inside]
    began = min((one.presences[name].began for one in inside), default=at)
    return ZoneCount(
        name,
        corners,
        tally.active,
        abs(at - tally.flashed_at) < _FLASH,
        tally.entered,
        tally.left,
        tally.by_class,
        Counter(one.label for one in inside),
        tuple(sorted({one.person for one in inside if one.person is not None})),
        max(at - began, 0.0),
    )


def _line(name: str, points: tuple[Point, ...], state: CameraState, at: float) -> LineCount:
    tally = state.lines[name]
    return LineCount(name, points, tally.active, abs(at - tally.flashed_at) < _FLASH, tally.crossed, tally.by_class)


def _objects(state: CameraState, plan: CameraPlan) -> Iterator[ObjectPlace]:
    for subject in state.subjects.values():
        zones = tuple(name for name, presence in subject.presences.items() if presence.inside)
        if subject.seen_at == state.at and (zones or plan.ground is not None):
            speed, heading = _kmh_and_heading(subject, plan)
            yield ObjectPlace(subject.track, zones, speed, heading)


def _kmh_and_heading(subject: Subject, plan: CameraPlan) -> tuple[float | None, float | None]:
    speed, heading = motion(subject.trail, plan.ground)
    return None if speed is None else speed * _KMH, heading


def added_by(happened: Sequence[Happening], dropped: int) -> tuple[Count, ...]:
    """Returns what these happenings, and events that were dropped, add to the metrics."""
    entries, exits = (
        Counter(one.subject.label for one in happened if one.kind is kind and one.subject is not None)
        for kind in (Kind.ENTERED, Kind.LEFT)
    )
    crossings = Counter(one.direction for one in happened if one.kind is Kind.CROSSED)
    return (
        *(Count(ENTRIES, label, number) for label, number in entries.items()),
        *(Count(EXITS, label, number) for label, number in exits.items()),
        *(Count(CROSSINGS, str(one), number) for one, number in crossings.items() if one is not None),
        *([Count(DROPPED, number=dropped)] if dropped else []),
    )
