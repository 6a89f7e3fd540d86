"""How one object moves: its path between two frames, through zones and over lines; and which tracks are one object.

Between two observations an object moves in a straight line. It is looked at every `_GRID` seconds of that path, so the
number of frames per second decides neither whether it enters a zone nor whether it crosses a line.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from sightd.plugins.zones.geometry import GroundPlane, Points
from sightd.plugins.zones.plan import LinePlan, ZonePlan
from sightd.plugins.zones.state import (
    Approach,
    Direction,
    Happening,
    Kind,
    Place,
    Presence,
    Reason,
    Sighting,
    Subject,
)

_GRID = 0.05
"""Times at which a path is looked at are multiples of this (s)."""
_MOST_LOOKS = 200
"""Looks at one path; a longer one is looked at less often."""
_BAND = 0.1
"""Half the width of the band around an edge, in sizes of the object: within it nothing changes sides."""
_SETTLE = 0.2
"""An object has crossed a line once it has been on the other side for this long (s)."""
_TRAIL = 1.0
"""Time (s) over which a speed is measured."""
_LEAST_TRAIL = 0.15
_REACH, _REACH_OF_OTHERS = 0.5, 0.2
"""How far from the expected place another track may continue a lost one, in sizes of the object: twice as far after
`_AHEAD`. If their classes differ, such as car and truck, it must be nearer."""
_PERSON = "person"
"""A class that goes on only as itself: a rider is not the bicycle."""
_AHEAD = 1.0
"""A lost object is expected to go on for at most this long (s)."""
_TOGETHER = 0.02
"""A track that was seen this long (s) after another one began is not continued by that one."""


def path(before: Place | None, now: Place) -> list[Place]:
    """Returns the places between two observations at which the object is looked at, after the first up to the second;
    the second if there is no first."""
    if before is None:
        return [now]
    first, last = math.floor(before.at / _GRID) + 1, math.floor(now.at / _GRID)
    stride = max(1, math.ceil((last - first + 1) / _MOST_LOOKS))
    return [_between(before, now, number * _GRID) for number in range(last, first - 1, -stride)][::-1]


def _between(before: Place, now: Place, at: float) -> Place:
    share = (at - before.at) / (now.at - before.at)
    x, y = (a + share * (b - a) for a, b in zip(before.point, now.point, strict=True))
    return Place(at, (x, y), before.size + share * (now.size - before.size))


def trail_after(trail: Sequence[Place], now: Place) -> tuple[Place, ...]:
    """Returns the trail with a new place, without those that are too old; at least two if there are."""
    kept = [place for place in trail if now.at - place.at <= _TRAIL]
    return (*(kept or trail[-1:]), now)


def through_zone(
    presence: Presence | None, subject: Subject, places: Sequence[Place], depths: Sequence[float], zone: ZonePlan
) -> tuple[Presence | None, list[Happening]]:
    """Follows an object through `places` at which it is `depths` px inside the zone."""
    if presence is not None and not presence.within and not presence.inside and max(depths, default=0.0) < 0:
        return presence, []  # the usual case: it is elsewhere
    found: list[Happening] = []
    for place, depth in zip(places, depths, strict=True):
        presence = _sided(presence, place, depth, min(_BAND * place.size, zone.area.depth / 2))
        presence, happened = _settled(presence, subject, place.at, zone)
        found += happened
    return presence, found


def _sided(before: Presence | None, place: Place, depth: float, band: float) -> Presence:
    if before is None:
        return Presence(depth >= 0, place.at)
    turned = depth <= -band if before.within else depth >= band
    return replace(before, within=not before.within, since=place.at) if turned else before


def _settled(now: Presence, subject: Subject, at: float, zone: ZonePlan) -> tuple[Presence, list[Happening]]:
    options, lasted = zone.options, at - now.since + 1e-6
    if now.within and not now.inside and lasted >= options.min_dwell:
        entered = Happening(Kind.ENTERED, zone.name, at, subject, lasts=True)
        return replace(now, inside=True, began=now.since, entered=entered.beginning, loitering=None), [entered]
    if now.inside and not now.within and lasted >= options.leave_after:
        return replace(now, inside=False), left(now, subject, zone.name, at, now.since, Reason.OUTSIDE)
    dwell = at - now.began
    if now.inside and now.loitering is None and options.loiter_after is not None and dwell >= options.loiter_after:
        loitering = Happening(Kind.LOITERING, zone.name, at, subject, dwell, lasts=True)
        return replace(now, loitering=loitering.beginning), [loitering]
    return now, []


def left(presence: Presence, subject: Subject, zone: str, at: float, until: float, reason: Reason) -> list[Happening]:
    """Returns what happens at `at` when an object is not in a zone any more in which it was until `until`."""
    dwell = max(until - presence.began, 0.0)
    found = []
    if presence.loitering is not None:
        found.append(Happening(Kind.LOITERING, zone, at, subject, dwell, reason, ends=presence.loitering))
    return [*found, Happening(Kind.LEFT, zone, at, subject, dwell, reason, ends=presence.entered)]


def over_line(
    approach: Approach | None, subject: Subject, places: Sequence[Place], looks: Sequence[tuple[float, float]],
    line: LinePlan,
) -> tuple[Approach | None, list[Happening]]:  # fmt: skip
    """Follows an object through `places`, each with its offset from the line and its share along it."""
    found: list[Happening] = []
    for place, (offset, share) in zip(places, looks, strict=True):
        approach = _approached(approach, place, offset, share)
        if approach.beyond != approach.side and place.at - approach.since + 1e-6 >= _SETTLE:
            found += crossed(approach, subject, place.at, line.name)
            approach = replace(approach, side=approach.beyond)
    return approach, found


def _approached(before: Approach | None, place: Place, offset: float, share: float) -> Approach:
    side = 1 if offset >= 0 else -1
    if before is None:
        return Approach(side, side, place.at, offset, share)
    passed, beyond, since = before.passed, before.beyond, before.since
    if (before.offset >= 0) is not (offset >= 0):
        passed = before.share + (share - before.share) * before.offset / (before.offset - offset)
    if side != beyond and abs(offset) >= _BAND * place.size:
        beyond, since = side, place.at
    return Approach(before.side, beyond, since, offset, share, passed)


def crossed(approach: Approach, subject: Subject, at: float, line: str) -> Iterator[Happening]:
    """Yields the crossing of an object that is on the other side, if it passed the line between its ends."""
    if approach.beyond != approach.side and 0 <= approach.passed <= 1:
        direction = Direction.IN if approach.beyond > 0 else Direction.OUT
        yield Happening(Kind.CROSSED, line, at, subject, direction=direction)


def motion(trail: Sequence[Place], ground: GroundPlane | None) -> tuple[float | None, float | None]:
    """Returns the speed in m/s, and the heading in degrees (0 up in the frame, 90 to the right): least squares over the
    trail. None if it is too short, or the ground is unknown."""
    times = np.array([place.at for place in trail])
    if len(times) < 2 or times[-1] - times[0] < _LEAST_TRAIL:
        return None, None
    points = np.array([place.point for place in trail])
    x, y = _slope(times, points)
    heading = math.degrees(math.atan2(x, -y)) % 360 if x or y else None
    speed = None if ground is None else float(np.hypot(*_slope(times, ground.metres(points))))
    return (speed if speed is not None and math.isfinite(speed) else None), heading


def _slope(times: Points, values: Points) -> tuple[float, float]:
    """Returns the change of the values [n, 2] per second."""
    passed = times - times.mean()
    x, y = (passed @ (values - values.mean(axis=0)) / (passed @ passed)).tolist()
    return x, y


def continued(subjects: Sequence[Subject], sightings: Sequence[Sighting], at: float) -> dict[int, Subject]:
    """Returns which of the `subjects`, none of which was seen on this frame, goes on as which of the `sightings`, all
    of new tracks: the nearest pairs first, each once. Keys are the new tracks."""
    pairs = [
        (distance, subject.track, sighting.track)
        for subject in subjects
        for sighting in sightings
        if (distance := _distance(subject, sighting, at)) is not None
    ]
    by_track = {subject.track: subject for subject in subjects}
    found: dict[int, Subject] = {}
    for _, old, new in sorted(pairs):
        if old in by_track and new not in found:
            found[new] = by_track.pop(old)
    return found


def _distance(subject: Subject, sighting: Sighting, at: float) -> float | None:
    """Returns how far, in sizes of the object, a new track is from where a lost object is expected; None if it is
    another object."""
    other = subject.label != sighting.label
    if subject.seen_at > at - sighting.age + _TOGETHER or (other and _PERSON in (subject.label, sighting.label)):
        return None
    last = subject.trail[-1]
    gap = at - last.at
    size = max((last.size + sighting.size) / 2, 1.0)
    x, y = _expected(subject.trail, min(gap, _AHEAD))
    distance = math.dist((x, y), sighting.point) / size
    reach = _REACH_OF_OTHERS if other else _REACH
    return distance if distance <= reach * (1 + min(gap, _AHEAD)) else None


def _expected(trail: Sequence[Place], ahead: float) -> tuple[float, float]:
    x, y = trail[-1].point
    times = np.array([place.at for place in trail])
    if times[-1] - times[0] < _LEAST_TRAIL:
        return x, y
    right, down = _slope(times, np.array([place.point for place in trail]))
    return x + right * ahead, y + down * ahead
