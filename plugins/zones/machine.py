"""The state machine of zones and lines: one pure step from frame to frame, without input and output.

Every object is followed over the tracks that it had (`movement`). What happens to objects is put into the order of
time, whatever the frame rate, and then counted, from which follows what happens to zones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from sightd.plugins.zones.geometry import Points
from sightd.plugins.zones.movement import continued, crossed, left, motion, over_line, path, through_zone, trail_after
from sightd.plugins.zones.plan import CameraPlan, LinePlan, ZonePlan
from sightd.plugins.zones.resting import is_watched, not_watched, persons_of, remembered_for, removed, rested
from sightd.plugins.zones.state import (
    Approach,
    CameraState,
    Happening,
    Kind,
    LineTally,
    Place,
    Presence,
    Reason,
    Rest,
    Sighting,
    Subject,
    ZoneTally,
)

_CALM = 5.0
"""A crowd is over once it was smaller for this long (s)."""


def step(
    before: CameraState,
    sightings: Sequence[Sighting],
    at: float,
    local: datetime | None,
    plan: CameraPlan,
    lost_after: float,
) -> tuple[CameraState, tuple[Happening, ...]]:
    """Returns the state after a frame at `at` (s) with these tracks, and what happened since the frame before it.

    `local` is the time of day of the frame; None, for one of a file, is within every schedule. An object that is not
    seen for `lost_after` seconds is gone. If time runs backwards, all objects are gone.
    """
    closed = _closed(before, plan, local)
    moves = [move for subject in before.subjects.values() for move in _put_out(subject, closed, at)]
    subjects = {track: _without(subject, closed) for track, subject in before.subjects.items()}
    if at < before.at:
        moves += [move for subject in subjects.values() for move in _lost(subject, at)]
        subjects = {}
    subjects = _renamed(subjects, sightings, at)
    usable = _open(plan, closed)
    subjects, moved = _followed(subjects, sightings, at, usable)
    moves += moved
    subjects, moved = _resting(subjects, sightings, at, usable)
    moves += moved
    subjects, lost = _alive(subjects, sightings, at, usable, lost_after)
    zones, lines, happened = _counted(before, moves + lost, plan, local, at)
    return CameraState(at, subjects, zones, lines), tuple(happened)


def _closed(before: CameraState, plan: CameraPlan, local: datetime | None) -> dict[str, Reason]:
    """Returns the zones and lines that an object cannot stay in or at, and why: they are not active now, or not those
    of the frame before."""
    every: tuple[ZonePlan | LinePlan, ...] = (*plan.zones, *plan.lines)
    shapes = {shape.name: shape for shape in every}
    known: dict[str, ZoneTally | LineTally] = {**before.zones, **before.lines}
    changed = {
        name: Reason.CHANGED
        for name, tally in known.items()
        if name not in shapes or shapes[name].options != tally.options
    }
    inactive = {name: Reason.INACTIVE for name, shape in shapes.items() if not _is_active(shape, local)}
    return {**changed, **inactive}


def _is_active(shape: ZonePlan | LinePlan, local: datetime | None) -> bool:
    return shape.schedule is None or local is None or shape.schedule.is_active(local)


def _open(plan: CameraPlan, closed: Mapping[str, Reason]) -> CameraPlan:
    def usable(name: str) -> bool:
        return closed.get(name) is not Reason.INACTIVE

    return replace(
        plan,
        zones=tuple(zone for zone in plan.zones if usable(zone.name)),
        lines=tuple(line for line in plan.lines if usable(line.name)),
    )


def _put_out(subject: Subject, closed: Mapping[str, Reason], at: float) -> Iterator[Happening]:
    for name, presence in subject.presences.items():
        if presence.inside and name in closed:
            yield from left(presence, subject, name, at, at, closed[name])
    if subject.rest is not None:
        yield from not_watched(subject.rest, subject, closed, at)


def _lost(subject: Subject, at: float) -> Iterator[Happening]:
    """Yields what happens to an object of which nothing will be known, because time runs backwards."""
    yield from _gone(subject, at)
    if subject.rest is not None:
        yield from not_watched(subject.rest, subject, dict.fromkeys(subject.rest.reported, Reason.LOST), at)


def _without(subject: Subject, closed: Mapping[str, Reason]) -> Subject:
    if not closed:
        return subject
    return replace(
        subject,
        presences={name: one for name, one in subject.presences.items() if name not in closed},
        approaches={name: one for name, one in subject.approaches.items() if name not in closed},
        rest=subject.rest and _rest_without(subject.rest, closed),
    )


def _rest_without(rest: Rest, closed: Mapping[str, Reason]) -> Rest:
    return replace(rest, reported={name: one for name, one in rest.reported.items() if name not in closed})


def _gone(subject: Subject, at: float) -> Iterator[Happening]:
    """Yields what happens to an object that will not be seen again: it has crossed the line that it is beyond, and has
    left the zones that it is in."""
    for name, approach in subject.approaches.items():
        yield from crossed(approach, subject, at, name)
    for name, presence in subject.presences.items():
        if presence.inside:
            until, reason = (subject.seen_at, Reason.LOST) if presence.within else (presence.since, Reason.OUTSIDE)
            yield from left(presence, subject, name, at, until, reason)


def _renamed(subjects: Mapping[int, Subject], sightings: Sequence[Sighting], at: float) -> dict[int, Subject]:
    """Returns the objects by their current tracks: a new track that appears where another object was lost goes on with
    that."""
    seen = {sighting.track for sighting in sightings if sighting.observed}
    new = [one for one in sightings if one.observed and one.track not in subjects]
    if not new:
        return dict(subjects)
    lost = [subject for track, subject in subjects.items() if track not in seen]
    taken = continued(lost, new, at)
    old = {subject.track for subject in taken.values()}
    kept = {track: subject for track, subject in subjects.items() if track not in old}
    return kept | {track: replace(subject, track=track) for track, subject in taken.items()}


@dataclass(frozen=True, slots=True, eq=False)
class _Steps:
    """An object on this frame, and the rows of its path among the places of all objects. `presences` and `approaches`
    are the subject's own, which are being filled."""

    subject: Subject
    rows: slice
    presences: dict[str, Presence]
    approaches: dict[str, Approach]


def _followed(
    subjects: Mapping[int, Subject], sightings: Sequence[Sighting], at: float, plan: CameraPlan
) -> tuple[dict[int, Subject], list[Happening]]:
    """Moves the objects that were observed, and returns all."""
    places: list[Place] = []
    steps: list[_Steps] = []
    for sighting in sightings:
        if sighting.observed:
            known = subjects.get(sighting.track)
            begin = len(places)
            now = Place(at, sighting.point, sighting.size)
            if known is None or at > known.seen_at:
                places += path(None if known is None else known.trail[-1], now)
            steps.append(_steps(known, sighting, now, slice(begin, len(places))))
    moves = _through_zones(steps, places, plan.zones) + _over_lines(steps, places, plan.lines)
    moves = [_measured(move, plan) for move in moves]
    return {**subjects, **{one.subject.track: one.subject for one in steps}}, moves


def _steps(known: Subject | None, sighting: Sighting, now: Place, rows: slice) -> _Steps:
    track, label, person = sighting.track, sighting.label, sighting.person
    if known is None:
        presences, approaches = dict[str, Presence](), dict[str, Approach]()
        return _Steps(Subject(track, label, person, now.at, (now,), presences, approaches), rows, presences, approaches)
    presences, approaches = dict(known.presences), dict(known.approaches)
    trail = trail_after(known.trail, now)
    subject = Subject(track, label, person or known.person, now.at, trail, presences, approaches, known.rest)
    return _Steps(subject, rows, presences, approaches)


def _points(places: Sequence[Place]) -> Points:
    return np.array([place.point for place in places], np.float64).reshape(-1, 2)


def _through_zones(steps: Sequence[_Steps], places: Sequence[Place], zones: Sequence[ZonePlan]) -> list[Happening]:
    """Follows all objects through all zones."""
    moves: list[Happening] = []
    points = _points(places)
    for zone in zones:
        depths = zone.area.distances(points).tolist()
        for one in steps:
            before = one.presences.get(zone.name)
            if before is None and not zone.counts(one.subject.label):
                continue
            after, found = through_zone(before, one.subject, places[one.rows], depths[one.rows], zone)
            moves += found
            if after is not None:
                one.presences[zone.name] = after
    return moves


def _over_lines(steps: Sequence[_Steps], places: Sequence[Place], lines: Sequence[LinePlan]) -> list[Happening]:
    """Like `_through_zones`, for lines and `approaches`."""
    moves: list[Happening] = []
    points = _points(places)
    for line in lines:
        looks = list(zip(line.gate.offsets(points).tolist(), line.gate.shares(points).tolist(), strict=True))
        for one in steps:
            before = one.approaches.get(line.name)
            if before is None and not line.counts(one.subject.label):
                continue
            after, found = over_line(before, one.subject, places[one.rows], looks[one.rows], line)
            moves += found
            if after is not None:
                one.approaches[line.name] = after
    return moves


def _measured(move: Happening, plan: CameraPlan) -> Happening:
    if move.kind is not Kind.CROSSED or move.subject is None:
        return move
    speed, heading = motion(move.subject.trail, plan.ground)
    return replace(move, speed=speed, heading=heading)


def _resting(
    subjects: Mapping[int, Subject], sightings: Sequence[Sighting], at: float, plan: CameraPlan
) -> tuple[dict[int, Subject], list[Happening]]:
    """Returns the objects with how things among them rest that were observed now, and what is to be reported."""
    persons = persons_of(sightings)
    after, moves = dict(subjects), list[Happening]()
    for track, subject in subjects.items():
        if subject.seen_at == at and is_watched(subject, plan.zones):
            rest, found = rested(subject, persons, plan.zones)
            after[track] = replace(subject, rest=rest)
            moves += found
    return after, moves


def _alive(
    subjects: Mapping[int, Subject], sightings: Sequence[Sighting], at: float, plan: CameraPlan, lost_after: float
) -> tuple[dict[int, Subject], list[Happening]]:
    """Returns the objects that are still there, and what happens to the others. A predicted track keeps its object."""
    there = {sighting.track for sighting in sightings}
    kept: dict[int, Subject] = {}
    moves: list[Happening] = []
    for track, subject in subjects.items():
        if track in there:
            kept[track] = replace(subject, alive_at=at) if subject.alive_at < at else subject
        elif at - subject.alive_at < (patience := remembered_for(subject, plan.zones, lost_after)):
            kept[track] = subject
        else:
            moves += [*_gone(subject, subject.alive_at + patience), *removed(subject, at, plan.zones)]
    return kept, moves


def _counted(
    before: CameraState, moves: Sequence[Happening], plan: CameraPlan, local: datetime | None, at: float
) -> tuple[dict[str, ZoneTally], dict[str, LineTally], list[Happening]]:
    zones, lines = dict(before.zones), dict(before.lines)
    for zone in plan.zones:
        zones.setdefault(zone.name, ZoneTally(zone.options))
    for line in plan.lines:
        lines.setdefault(line.name, LineTally(line.options))
    happened: list[Happening] = []
    for move in sorted(moves, key=lambda move: move.at):
        if move.where in zones and move.kind is not Kind.CROSSED:
            tally, calm = _calmed(zones[move.where], move.where, move.at)
            zones[move.where], more = _zone_after(tally, move)
            happened += [*calm, move, *more]
        else:
            happened.append(move)
            if move.where in lines:
                lines[move.where] = _line_after(lines[move.where], move)
    stays = {zone.name for zone in plan.zones}
    for name, tally in list(zones.items()):
        zones[name], more = _calmed(tally, name, at) if name in stays else _not_crowded(tally, name, at, Reason.CHANGED)
        happened += more
    return (
        {one.name: replace(zones[one.name], options=one.options, active=_is_active(one, local)) for one in plan.zones},
        {one.name: replace(lines[one.name], options=one.options, active=_is_active(one, local)) for one in plan.lines},
        happened,
    )


def _zone_after(tally: ZoneTally, move: Happening) -> tuple[ZoneTally, list[Happening]]:
    if move.kind is Kind.ENTERED and move.subject is not None:
        label = move.subject.label
        by_class = {**tally.by_class, label: tally.by_class.get(label, 0) + 1}
        tally = replace(tally, entered=tally.entered + 1, by_class=by_class, flashed_at=move.at)
        return _fuller(tally, move)
    if move.kind is Kind.LEFT:
        return _emptier(replace(tally, left=tally.left + 1, flashed_at=move.at), move)
    return replace(tally, flashed_at=move.at), []


def _fuller(tally: ZoneTally, move: Happening) -> tuple[ZoneTally, list[Happening]]:
    found: list[Happening] = []
    if tally.occupied is None:
        occupied = Happening(Kind.OCCUPIED, move.where, move.at, move.subject, lasts=True)
        tally = replace(tally, occupied=occupied.beginning)
        found.append(occupied)
    crowd = tally.options.crowd
    if crowd is None or tally.inside < crowd:
        return tally, found
    if tally.crowded is None:
        crowded = Happening(Kind.CROWDED, move.where, move.at, number=tally.inside, lasts=True)
        tally = replace(tally, crowded=crowded.beginning)
        found.append(crowded)
    return replace(tally, thinned_at=None), found


def _calmed(tally: ZoneTally, zone: str, at: float) -> tuple[ZoneTally, list[Happening]]:
    """Returns the tally after a crowd that has been smaller for long enough at `at`, and its end."""
    if tally.thinned_at is None or 0 <= at - tally.thinned_at < _CALM:
        return tally, []
    return _not_crowded(tally, zone, min(tally.thinned_at + _CALM, at), None)


def _not_crowded(tally: ZoneTally, zone: str, at: float, reason: Reason | None) -> tuple[ZoneTally, list[Happening]]:
    if tally.crowded is None:
        return tally, []
    until = at if tally.thinned_at is None else tally.thinned_at
    lasted = max(until - tally.crowded.at, 0.0)
    over = Happening(Kind.CROWDED, zone, at, dwell=lasted, reason=reason, number=tally.inside, ends=tally.crowded)
    return replace(tally, crowded=None, thinned_at=None), [over]


def _emptier(tally: ZoneTally, move: Happening) -> tuple[ZoneTally, list[Happening]]:
    crowd = tally.options.crowd
    if tally.crowded and tally.thinned_at is None and crowd is not None and tally.inside < crowd:
        tally = replace(tally, thinned_at=move.at)
    if tally.inside or tally.occupied is None:
        return tally, []
    lasted = max(move.at - tally.occupied.at, 0.0)
    return replace(tally, occupied=None), [
        Happening(Kind.EMPTY, move.where, move.at, dwell=lasted, ends=tally.occupied)
    ]


def _line_after(tally: LineTally, move: Happening) -> LineTally:
    assert move.subject is not None
    assert move.direction is not None
    key = (move.subject.label, move.direction)
    return replace(
        tally,
        crossed={**tally.crossed, move.direction: tally.crossed[move.direction] + 1},
        by_class={**tally.by_class, key: tally.by_class.get(key, 0) + 1},
        flashed_at=move.at,
    )
