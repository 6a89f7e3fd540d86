"""Things that rest: left behind by everybody, or taken away."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from sightd.plugins.zones.plan import ZonePlan
from sightd.plugins.zones.state import Happening, Kind, Place, Reason, Rest, Sighting, Subject

_STILL = 0.3
"""A thing rests as long as it is within this many of its sizes of one place."""
_REACH = 2.0
"""A person is with a thing if it is within this many sizes of the person: about two metres."""
_KNOWN = 10.0
"""A thing is known, so that it can be removed, once it was left behind or has rested for this long (s)."""
_PERSON = "person"


def is_watched(subject: Subject, zones: Sequence[ZonePlan]) -> bool:
    """Returns whether a zone reports things of this class that are left behind or removed."""
    return any(_watches(zone, subject) for zone in zones)


def _watches(zone: ZonePlan, subject: Subject) -> bool:
    options = zone.options
    return subject.label in options.objects and (options.left_behind_after or options.removed_after) is not None


def rested(subject: Subject, persons: Sequence[Sighting], zones: Sequence[ZonePlan]) -> tuple[Rest, list[Happening]]:
    """Returns how a thing rests at its newest place, and what is to be reported of it. `persons` are those there."""
    place, rest = subject.trail[-1], subject.rest
    if rest is None:
        return Rest(place.point, place.at, place.at), []
    if math.dist(rest.point, place.point) > _STILL * place.size:
        return _away(rest, subject, place, zones)
    attended = any(math.dist(one.point, place.point) <= _REACH * one.size for one in persons)
    rest = replace(rest, attended_at=place.at if attended else rest.attended_at, away_since=None)
    found = list(_left_behind(rest, subject, place.at, zones))
    return replace(rest, reported={**rest.reported, **{one.where: one.beginning for one in found}}), found


def _left_behind(rest: Rest, subject: Subject, at: float, zones: Sequence[ZonePlan]) -> Iterator[Happening]:
    for zone in zones:
        limit = zone.options.left_behind_after
        if limit is None or zone.name in rest.reported or at - max(rest.since, rest.attended_at) < limit:
            continue
        if _watches(zone, subject) and _contains(zone, rest):
            yield Happening(Kind.LEFT_BEHIND, zone.name, at, subject, at - rest.since, lasts=True)


def _away(rest: Rest, subject: Subject, place: Place, zones: Sequence[ZonePlan]) -> tuple[Rest, list[Happening]]:
    """Returns the same rest of a thing that may come back, or a new one if it is away for long enough, or unknown."""
    since = place.at if rest.away_since is None else rest.away_since
    if place.at - since < _patience(subject, zones):
        return replace(rest, away_since=since), []
    gone = _removed(rest, subject, since, place.at, zones, Reason.OUTSIDE)
    return Rest(place.point, place.at, place.at), list(gone)


def _patience(subject: Subject, zones: Sequence[ZonePlan]) -> float:
    return max((zone.options.removed_after or 0.0 for zone in zones if _watches(zone, subject)), default=0.0)


def remembered_for(subject: Subject, zones: Sequence[ZonePlan], lost_after: float) -> float:
    """Returns how long an object that is not seen is remembered (s): a known thing, until it counts as removed."""
    rest = subject.rest
    known = rest is not None and (bool(rest.reported) or subject.seen_at - rest.since >= _KNOWN)
    return max(lost_after, _patience(subject, zones)) if known else lost_after


def removed(subject: Subject, at: float, zones: Sequence[ZonePlan]) -> Iterator[Happening]:
    """Yields that a thing that is not seen any more was removed, if it was known."""
    if subject.rest is not None:
        since = subject.seen_at if subject.rest.away_since is None else subject.rest.away_since
        yield from _removed(subject.rest, subject, since, at, zones, Reason.LOST)


def _removed(
    rest: Rest, subject: Subject, until: float, at: float, zones: Sequence[ZonePlan], reason: Reason
) -> Iterator[Happening]:
    """Yields that a thing was removed that rested until `until`; or, of a zone that does not report that, that it is
    not left behind there any more, for this `reason`."""
    for zone in zones:
        behind, rested_for = rest.reported.get(zone.name), until - rest.since
        known = behind is not None or rested_for >= _KNOWN
        if known and zone.options.removed_after is not None and _watches(zone, subject) and _contains(zone, rest):
            yield Happening(Kind.REMOVED, zone.name, at, subject, rested_for, ends=behind)
        elif behind is not None:
            yield Happening(Kind.LEFT_BEHIND, zone.name, at, subject, rested_for, reason, ends=behind)


def not_watched(rest: Rest, subject: Subject, why: Mapping[str, Reason], at: float) -> Iterator[Happening]:
    """Yields the ends of what was reported as left behind in zones that do not watch it any more at `at`; `why` says
    why, by zone."""
    for zone, behind in rest.reported.items():
        if zone in why:
            yield Happening(Kind.LEFT_BEHIND, zone, at, subject, max(at - rest.since, 0.0), why[zone], ends=behind)


def _contains(zone: ZonePlan, rest: Rest) -> bool:
    return bool(zone.area.distances(np.array([rest.point], np.float64))[0] >= 0)


def persons_of(sightings: Sequence[Sighting]) -> list[Sighting]:
    return [one for one in sightings if one.label == _PERSON]
