"""Reports as events who is seen: people who are recognised, and unknown persons, once per visit.

A visit is a face's track. What is to be reported is the difference between what is known of the tracks and what was
reported, so nothing is queued: what a frame has no room for follows with the next frames.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np

from sightd.plugins.api import MAX_EVENTS, Event, EventRef, EventSpec, FloatArray, JsonValue, Phase, Tracks
from sightd.plugins.face.tracks import TrackIdentity
from sightd.plugins.geometry.regions import persons_of_faces

RECOGNISED, UNKNOWN = "face.recognised", "face.unknown"
SPECS = (
    EventSpec(
        RECOGNISED,
        "An enrolled person was recognised; ended when the face is gone.",
        by_rule=True,
        facts=("person", "score", "track", "box", "seconds"),
    ),
    EventSpec(
        UNKNOWN,
        "Somebody who is not enrolled was seen well; ended when the face is gone.",
        by_rule=True,
        facts=("track", "box", "seconds"),
    ),
)
_PERSON = "person"


@dataclass(frozen=True, slots=True, eq=False)
class SeenFace:
    """A tracked face on a frame: its box xyxy in px, who it is, and the track of the person who has it, if known."""

    box: FloatArray
    identity: TrackIdentity
    track: int | None = None


@dataclass(frozen=True, slots=True)
class ReportedVisit:
    """A visit that was reported as `began`, None if it was over before it could be; `person` is None for an unknown
    one. Times in seconds since the epoch."""

    began: EventRef | None
    person: int | None
    first_seen: float
    last_seen: float

    def end(self) -> Event:
        facts = {} if self.began is None else {name: fact for name, fact in self.began.facts.items() if name != "box"}
        facts["seconds"] = round(max(self.last_seen - self.first_seen, 0.0), 1)
        if self.began is None:
            return Event(UNKNOWN, facts)
        return Event(self.began.kind, facts, self.began, Phase.ENDED)


@dataclass(frozen=True, slots=True, eq=False)
class ReportedVisits:
    """The visits to one camera that were reported, and whose end was not, by the number of the face's track.
    Immutable."""

    by_number: Mapping[int, ReportedVisit] = field(default_factory=dict)

    def with_ended(self, number: int, known: TrackIdentity) -> ReportedVisits:
        """Returns the visits after a track has ended: an unknown person who was seen well and not for long is still to
        be reported."""
        if number in self.by_number or not known.recorded or known.verdict.person is not None:
            return self
        visit = ReportedVisit(None, None, known.first_seen, known.last_seen)
        return ReportedVisits({**self.by_number, number: visit})

    def after(
        self,
        seen: Mapping[int, SeenFace],
        known: Mapping[int, TrackIdentity],
        name_of: Callable[[int], str | None],
        wall_time: float,
    ) -> tuple[ReportedVisits, tuple[Event, ...]]:
        """Returns the visits after a frame at `wall_time` (seconds since the epoch) with the faces `seen`, and its
        events, first the ends. `known` are all tracks that have not ended."""
        visits = {
            number: replace(one, last_seen=seen[number].identity.last_seen) if number in seen else one
            for number, one in self.by_number.items()
        }
        over = [n for n, one in visits.items() if n not in known or (n in seen and _is_other(one, seen[n].identity))]
        events = [visits.pop(number).end() for number in over[:MAX_EVENTS]]
        new = ((number, face) for number, face in seen.items() if number not in visits and _is_decided(face.identity))
        for number, face in islice(new, MAX_EVENTS - len(events)):
            began = _began(face, name_of, wall_time)
            identity = face.identity
            visits[number] = ReportedVisit(began, identity.verdict.person, identity.first_seen, identity.last_seen)
            events.append(Event(began.kind, began.facts, phase=Phase.BEGAN))
        return ReportedVisits(visits), tuple(events)


def _is_other(visit: ReportedVisit, identity: TrackIdentity) -> bool:
    """Whether somebody turned out to be another person than reported. A name that is not sure for a while is kept."""
    person = identity.verdict.person
    return person is not None and person != visit.person


def _is_decided(identity: TrackIdentity) -> bool:
    """Whether it is known who somebody is, or that they are unknown, which is when they are recorded as such."""
    return identity.verdict.person is not None or identity.recorded


def _began(face: SeenFace, name_of: Callable[[int], str | None], wall_time: float) -> EventRef:
    verdict = face.identity.verdict
    facts: dict[str, JsonValue] = {} if face.track is None else {"track": face.track}
    if verdict.person is not None:
        facts |= {"person": name_of(verdict.person), "score": round(float(verdict.similarity), 3)}
    facts["box"] = [round(side) for side in face.box.tolist()]
    return EventRef(UNKNOWN if verdict.person is None else RECOGNISED, wall_time, facts)


def tracks_of_faces(boxes: FloatArray, tracks: Tracks | None) -> Sequence[int | None]:
    """Returns the track of the person who has each of the faces `boxes` [n, 4], None if it is not known."""
    if tracks is None or _PERSON not in tracks.labels:
        return [None] * len(boxes)
    persons = np.flatnonzero(tracks.class_ids == tracks.labels.index(_PERSON))
    rows = persons_of_faces(boxes, tracks.boxes[persons]).tolist()
    return [None if row < 0 else int(tracks.ids[persons[row]]) for row in rows]
