"""What is known about the objects of one camera and about its zones and lines. Immutable; replaced as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from sightd.plugins.zones.config import Line, Zone
from sightd.plugins.zones.geometry import Point


class Kind(StrEnum):
    """What can happen."""

    ENTERED = "zone.entered"
    LEFT = "zone.left"
    OCCUPIED = "zone.occupied"
    EMPTY = "zone.empty"
    CROWDED = "zone.crowded"
    CROSSED = "line.crossed"
    LOITERING = "object.loitering"
    LEFT_BEHIND = "object.left_behind"
    REMOVED = "object.removed"


class Direction(StrEnum):
    """How a line is crossed: "in" is from left to right, as one looks from its start to its end."""

    IN = "in"
    OUT = "out"


class Reason(StrEnum):
    """Why an object is not in a zone any more."""

    OUTSIDE = "outside"
    LOST = "lost"
    INACTIVE = "inactive"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Beginning:
    """Identifies what happened when something began that lasts: its kind, zone and time (captured_at, s), and the track
    that its object had then (None: it is about the zone as a whole)."""

    kind: Kind
    where: str
    at: float
    track: int | None


@dataclass(frozen=True, slots=True)
class Sighting:
    """A track on a frame: `point` is where the object stands, in px; `size` the geometric mean of its box's sides;
    `age` how long it has been tracked (s). `observed` is false for a predicted track, whose place is no observation."""

    track: int
    label: str
    point: Point
    size: float
    age: float = 0.0
    person: str | None = None
    observed: bool = True


@dataclass(frozen=True, slots=True)
class Presence:
    """An object and a zone. `within` is on which side of the zone's edge it was last, apart from jitter, since `since`.
    `inside` says whether it counts as inside, since `began`. `entered` and `loitering` are what was reported of it and
    lasts."""

    within: bool
    since: float
    inside: bool = False
    began: float = 0.0
    entered: Beginning | None = None
    loitering: Beginning | None = None


@dataclass(frozen=True, slots=True)
class Approach:
    """An object and a line: the `side` (1 right, -1 left) on which it counts, and its last place: `offset` from the
    line and `share` along it. `beyond` is the side on which it was last, apart from jitter, since `since`; it passed
    the line at `passed`, 0 to 1 along it."""

    side: int
    beyond: int
    since: float
    offset: float
    share: float
    passed: float = -1.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object was observed: time in s, point and size in px."""

    at: float
    point: Point
    size: float


@dataclass(frozen=True, slots=True)
class Rest:
    """A thing that rests at `point` (px) since `since` (s). A person was with it last at `attended_at`. `away_since` is
    when it was first seen elsewhere, None if it is still there; `reported`, by zone, is that it was left behind
    there."""

    point: Point
    since: float
    attended_at: float
    away_since: float | None = None
    reported: Mapping[str, Beginning] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """An object that is followed over the tracks that it had. `trail` are its latest places, oldest first; `alive_at`
    is when its track, observed or predicted, was there last. `rest` is None unless a zone watches things of its
    class."""

    track: int
    label: str
    person: str | None
    alive_at: float
    trail: tuple[Place, ...]
    presences: Mapping[str, Presence]
    approaches: Mapping[str, Approach]
    rest: Rest | None = None

    @property
    def seen_at(self) -> float:
        return self.trail[-1].at


@dataclass(frozen=True, slots=True)
class ZoneTally:
    """A zone's numbers: objects that entered and left, entered by class; what was reported when it became occupied
    (None: it is empty) and when a crowd was in it, and since when that has been smaller (None: it has not)."""

    options: Zone
    active: bool = True
    entered: int = 0
    left: int = 0
    by_class: Mapping[str, int] = field(default_factory=dict)
    occupied: Beginning | None = None
    crowded: Beginning | None = None
    thinned_at: float | None = None
    flashed_at: float = float("-inf")

    @property
    def inside(self) -> int:
        return self.entered - self.left


@dataclass(frozen=True, slots=True)
class LineTally:
    """A line's numbers: crossings by direction, and by direction and class."""

    options: Line
    active: bool = True
    crossed: Mapping[Direction, int] = field(default_factory=lambda: dict.fromkeys(Direction, 0))
    by_class: Mapping[tuple[str, Direction], int] = field(default_factory=dict)
    flashed_at: float = float("-inf")


@dataclass(frozen=True, slots=True, eq=False)
class CameraState:
    """Everything known about a camera after the frame at `at` (captured_at, s)."""

    at: float = float("-inf")
    subjects: Mapping[int, Subject] = field(default_factory=dict)
    zones: Mapping[str, ZoneTally] = field(default_factory=dict)
    lines: Mapping[str, LineTally] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened at `at` (captured_at, s), in or at the zone or line `where`. `subject` is None if it is
    about the zone as a whole. `lasts`: it has begun, and will be ended by another one, which names it by `ends`."""

    kind: Kind
    where: str
    at: float
    subject: Subject | None = None
    dwell: float | None = None
    reason: Reason | None = None
    direction: Direction | None = None
    speed: float | None = None
    """In m/s; None if the ground is unknown."""
    heading: float | None = None
    """Direction of its movement, in degrees: 0 up in the frame, 90 to the right."""
    number: int | None = None
    lasts: bool = False
    ends: Beginning | None = None

    @property
    def beginning(self) -> Beginning:
        """Identifies this one, if it lasts."""
        return Beginning(self.kind, self.where, self.at, None if self.subject is None else self.subject.track)
