"""What the state machine needs to know of a camera's zones and lines, for frames of one size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sightd.plugins.schedule.weekly import Schedule, parse_schedule
from sightd.plugins.zones.config import CameraZones, Line, Plane, Scale, Zone
from sightd.plugins.zones.geometry import Area, Gate, GroundPlane, Point


@dataclass(frozen=True, slots=True, eq=False)
class ZonePlan:
    """A zone. `options` are those that it was made from, `fractions` its corners."""

    name: str
    options: Zone
    area: Area
    fractions: tuple[Point, ...]
    schedule: Schedule | None

    def counts(self, label: str) -> bool:
        return self.options.classes is None or label in self.options.classes


@dataclass(frozen=True, slots=True, eq=False)
class LinePlan:
    """A line, like `ZonePlan`."""

    name: str
    options: Line
    gate: Gate
    fractions: tuple[Point, ...]
    schedule: Schedule | None

    def counts(self, label: str) -> bool:
        return self.options.classes is None or label in self.options.classes


@dataclass(frozen=True, slots=True, eq=False)
class CameraPlan:
    """The zones and lines of a camera with frames of `size` (width, height). `ground` is None if speeds are unknown."""

    size: tuple[int, int]
    zones: tuple[ZonePlan, ...]
    lines: tuple[LinePlan, ...]
    ground: GroundPlane | None

    @classmethod
    def of(cls, options: CameraZones, size: tuple[int, int]) -> CameraPlan:
        return cls(
            size,
            tuple(_zone(name, zone, size) for name, zone in options.zones.items()),
            tuple(_line(name, line, size) for name, line in options.lines.items()),
            _ground(options.scale or options.plane, size),
        )


def _zone(name: str, zone: Zone, size: tuple[int, int]) -> ZonePlan:
    return ZonePlan(name, zone, Area.of(zone.fractions, *size), zone.fractions, _schedule(zone.active))


def _line(name: str, line: Line, size: tuple[int, int]) -> LinePlan:
    start, end = np.array(line.fractions, np.float64) * size
    return LinePlan(name, line, Gate(start, end), line.fractions, _schedule(line.active))


def _schedule(text: str | None) -> Schedule | None:
    return None if text is None else parse_schedule(text)


def _ground(known: Scale | Plane | None, size: tuple[int, int]) -> GroundPlane | None:
    if known is None:
        return None
    pixels = np.array(known.fractions, np.float64) * size
    if isinstance(known, Scale):
        return GroundPlane.of_scale(pixels, known.metres)
    return GroundPlane.of_corners(pixels, np.array(known.metres, np.float64))
