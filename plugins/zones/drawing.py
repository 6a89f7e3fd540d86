"""Draws zones and lines: outlines, names and numbers, an arrow for the direction, and a flash if something happens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sightd.plugins.api import Canvas, FloatArray, Frame
from sightd.plugins.zones.geometry import Point
from sightd.plugins.zones.result import LineCount, ZoneCount, ZoneCounts
from sightd.plugins.zones.state import Direction

Colour = tuple[int, int, int]
_EMPTY: Colour = (190, 190, 190)
_OCCUPIED: Colour = (90, 200, 255)
_LINE: Colour = (230, 190, 80)
_FLASH: Colour = (255, 255, 255)
"""Blue, green, red."""
_FAINT, _CALM = 0.35, 0.7
"""Opacity of what is not active, and of what is."""
_ARROW, _HEAD = 0.06, 0.4
"""Length of the arrow, in heights of the frame, and of its head, in lengths of the arrow."""
_INSET = 0.012


def draw_zones(canvas: Canvas, frame: Frame, counts: ZoneCounts) -> None:
    """Draws all zones, then all lines, then the texts, so that no line crosses a text."""
    for zone in counts.zones:
        _outline(canvas, frame, zone)
    for line in counts.lines:
        _directed(canvas, frame, line)
    for zone in counts.zones:
        canvas.text(_text_place(zone.corners, frame), f"{zone.name}  {zone.inside}", _zone_colour(zone))
    for line in counts.lines:
        text = f"{line.name}  in {line.crossed[Direction.IN]}  out {line.crossed[Direction.OUT]}"
        canvas.text(_text_place(line.points, frame), text, _line_colour(line))


def _zone_colour(zone: ZoneCount) -> Colour:
    return _FLASH if zone.flash else _OCCUPIED if zone.inside else _EMPTY


def _line_colour(line: LineCount) -> Colour:
    return _FLASH if line.flash else _LINE if line.active else _EMPTY


def _outline(canvas: Canvas, frame: Frame, zone: ZoneCount) -> None:
    opacity = 1.0 if zone.flash else _CALM if zone.active else _FAINT
    canvas.line(
        _pixels((*zone.corners, zone.corners[0]), frame), _zone_colour(zone), opacity, 2.5 if zone.inside else 1.5
    )


def _directed(canvas: Canvas, frame: Frame, line: LineCount) -> None:
    """Draws the line, and from its middle an arrow to the side to which it is crossed inwards."""
    colour, opacity = _line_colour(line), 1.0 if line.flash else _CALM if line.active else _FAINT
    start, end = ends = _pixels(line.points, frame)
    along = (end - start) / max(float(np.hypot(*(end - start))), 1e-6)
    across = np.array((-along[1], along[0]), np.float32)
    length = np.float32(_ARROW * frame.height)
    middle = (start + end) / 2
    tip = middle + across * length
    head = np.stack([tip - (across + along * side) * length * np.float32(_HEAD) for side in (0.7, -0.7)])
    canvas.line(ends, colour, opacity, 3.0 if line.flash else 2.0)
    canvas.line(np.stack((middle, tip)), colour, opacity, 2.0)
    canvas.line(np.stack((head[0], tip, head[1])), colour, opacity, 2.0)


def _pixels(points: Sequence[Point], frame: Frame) -> FloatArray:
    return np.array(points, np.float32) * np.array((frame.width, frame.height), np.float32)


def _text_place(points: Sequence[Point], frame: Frame) -> tuple[float, float]:
    """Returns a place for a text: below and right of the topmost point."""
    x, y = min(points, key=lambda point: (point[1], point[0]))
    return (x + _INSET) * frame.width, (y + _INSET) * frame.height
