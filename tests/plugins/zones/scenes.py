"""Objects that walk along given paths, and what the state machine makes of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np

from sightd.plugins.zones.config import CameraZones
from sightd.plugins.zones.events import FACTS, facts_of
from sightd.plugins.zones.machine import step
from sightd.plugins.zones.plan import CameraPlan
from sightd.plugins.zones.state import CameraState, Happening, Kind, Sighting

SIZE = (1000, 1000)
FPS = 10
SQUARE = [[0.4, 0.4], [0.6, 0.4], [0.6, 0.6], [0.4, 0.6]]
"""A zone in the middle of the frame."""
UPWARDS = [[0.5, 0.9], [0.5, 0.1]]
"""A line up the middle: from its left to its right is in."""
OUTSIDE, INSIDE = (200.0, 500.0), (500.0, 500.0)
Look = Callable[[Sighting], Sighting | None]


def plan(zones: Mapping[str, Any] | None = None, lines: Mapping[str, Any] | None = None, **more: Any) -> CameraPlan:
    given = {"zones": zones or {}, "lines": lines or {}, **more}
    return CameraPlan.of(CameraZones.model_validate(given), SIZE)


def square(**options: Any) -> CameraPlan:
    return plan({"square": {"corners": SQUARE, **options}})


def upwards(**options: Any) -> CameraPlan:
    return plan(lines={"upwards": {"points": UPWARDS, **options}})


@dataclass(frozen=True)
class Walk:
    """An object of 100 px that is at points (time in s, x, y) and goes straight from each to the next; it is only there
    from the first to the last. `look` says how it is seen."""

    points: Sequence[tuple[float, float, float]]
    track: int = 1
    label: str = "person"
    person: str | None = None
    look: Look = lambda sighting: sighting

    def sighting(self, at: float) -> Sighting | None:
        times, xs, ys = zip(*self.points, strict=True)
        if not times[0] - 1e-6 <= at <= times[-1] + 1e-6:
            return None
        point = float(np.interp(at, times, xs)), float(np.interp(at, times, ys))
        return self.look(Sighting(self.track, self.label, point, 100.0, at - times[0], self.person))


def stays(point: tuple[float, float], begin: float, end: float, **options: Any) -> Walk:
    return Walk([(begin, *point), (end, *point)], **options)


@dataclass
class Watched:
    """What happened, and the state after the last frame."""

    happened: list[Happening] = field(default_factory=list)
    state: CameraState = field(default_factory=CameraState)

    def of(self, kind: Kind) -> list[Happening]:
        """What of this kind happened, without the ends of what began as this kind."""
        return [one for one in self.happened if one.kind is kind and one not in self.over(kind)]

    def over(self, kind: Kind) -> list[Happening]:
        """The ends of what began as this kind, which may be of another kind."""
        return [one for one in self.happened if one.ends is not None and one.ends.kind is kind]

    @property
    def kinds(self) -> list[str]:
        return [str(one.kind) for one in self.happened]

    @property
    def numbers(self) -> Counter[tuple[str, ...]]:
        """How often what happened, and by which direction."""
        return Counter((str(one.kind), one.where, str(one.direction or "")) for one in self.happened)


def frames(until: float, fps: float = FPS) -> Iterator[float]:
    return (number / fps for number in range(round(until * fps) + 1))


def watch(
    walks: Sequence[Walk],
    camera: CameraPlan,
    until: float = 10,
    *,
    fps: float = FPS,
    lost_after: float = 2.0,
    local: Callable[[float], datetime | None] = lambda at: None,
    before: Watched | None = None,
    begin: float = 0.0,
) -> Watched:
    """Returns what happens on the frames from `begin` to `until` (s)."""
    found = Watched() if before is None else replace(before)
    for at in frames(until, fps):
        if at >= begin:
            seen = [sighting for walk in walks if (sighting := walk.sighting(at)) is not None]
            found.state, happened = step(found.state, seen, at, local(at), camera, lost_after)
            assert all(facts_of(one).keys() <= set(FACTS[one.kind]) for one in happened), "facts are declared"
            found.happened = [*found.happened, *happened]
    return found
