"""Reports objects as events: when one appears, and when it is gone.

An object is reported once, by the id that it is shown with. What is to be reported is the difference between the ids
that exist and those that were reported, so nothing is queued: if a frame has room for 16 events only, the rest follows
with the next frames, and an object that is gone before its turn is not reported at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np

from sightd.plugins.api import MAX_EVENTS, Event, EventRef, EventSpec, JsonValue, Phase, label_of
from sightd.plugins.tracker.camera_tracks import BORN_AT, CLASS_ID, ID, SCORE, SEEN_AT, CameraTracks

NEW, GONE = "object.new", "object.gone"
SPECS = (
    EventSpec(NEW, "An object has appeared and is tracked.", by_rule=True, facts=("class", "track", "score")),
    EventSpec(GONE, "An object is not seen any more.", by_rule=True, facts=("class", "track", "score", "seconds")),
)


@dataclass(frozen=True, slots=True)
class ReportedObject:
    """An object that was reported as `began`: its class, when it was seen first and last (captured_at, s), and its best
    score."""

    began: EventRef
    label: str
    born_at: float
    seen_at: float
    score: float

    def gone(self, track: int) -> Event:
        facts: dict[str, JsonValue] = {
            "class": self.label,
            "track": track,
            "score": round(self.score, 3),
            "seconds": round(max(self.seen_at - self.born_at, 0.0), 1),
        }
        return Event(GONE, facts, self.began, Phase.ENDED)


@dataclass(frozen=True, slots=True, eq=False)
class ReportedObjects:
    """The objects of one camera that were reported and are not reported as gone, by id. Immutable."""

    by_id: Mapping[int, ReportedObject] = field(default_factory=dict)

    def after(self, tracks: CameraTracks, wall_time: float) -> tuple[ReportedObjects, tuple[Event, ...]]:
        """Returns what is reported after a frame at `wall_time` (seconds since the epoch), after which the camera has
        these tracks, and the events of that frame: first of those that are gone.

        An object that is found again by how it looks is not gone until it cannot be any more.
        """
        ids = tracks.rows[:, ID].astype(np.int64)
        rows = {track: row for row, track in enumerate(ids.tolist()) if track > 0}
        exists = rows.keys() | set(tracks.gone[:, ID].astype(np.int64).tolist())
        ended = list(islice((track for track in self.by_id if track not in exists), MAX_EVENTS))
        events = [self.by_id[track].gone(track) for track in ended]
        kept = {track: one for track, one in self.by_id.items() if track not in ended}
        kept.update(_seen(kept, rows, tracks))
        for track in islice((track for track in rows if track not in kept), MAX_EVENTS - len(events)):
            kept[track] = one = _new(track, rows[track], tracks, wall_time)
            events.append(Event(NEW, one.began.facts, phase=Phase.BEGAN))
        return ReportedObjects(kept), tuple(events)


def _seen(
    known: Mapping[int, ReportedObject], rows: Mapping[int, int], tracks: CameraTracks
) -> Iterator[tuple[int, ReportedObject]]:
    """Yields the known objects that were seen on this frame as they are now."""
    numbers = tracks.rows[:, [SEEN_AT, SCORE, CLASS_ID]].tolist()
    for track, row in rows.items():
        seen_at, score, class_id = numbers[row]
        if track in known and seen_at >= tracks.at:
            one = known[track]
            label = label_of(tracks.labels, int(class_id))
            yield track, replace(one, label=label, seen_at=seen_at, score=max(one.score, score))


def _new(track: int, row: int, tracks: CameraTracks, wall_time: float) -> ReportedObject:
    born_at, seen_at, score, class_id = tracks.rows[row, [BORN_AT, SEEN_AT, SCORE, CLASS_ID]].tolist()
    label = label_of(tracks.labels, int(class_id))
    facts: dict[str, JsonValue] = {"class": label, "track": track, "score": round(score, 3)}
    return ReportedObject(EventRef(NEW, wall_time, facts), label, born_at, seen_at, score)
