"""What is to be described on a frame: events of earlier plug-ins, and objects; and which of them were already."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sightd.plugins.api import Detections, Event, EventRef, Events, Frame, JsonValue, Results, Tracks, label_of
from sightd.plugins.describe.config import DescribeConfig

SubjectKey = tuple[str, str, int | None]
"""What a cool-down applies to: "event" or "object", its kind or class, and its track."""


@dataclass(frozen=True, slots=True)
class DescribedSubject:
    """A region of a frame to describe: box xyxy in px. `facts` are those of the answer's event; `about` is the event
    that it is about, if any."""

    key: SubjectKey
    box: Sequence[float]
    facts: Mapping[str, JsonValue] = field(default_factory=dict)
    about: EventRef | None = None


def subjects_of(frame: Frame, results: Results, config: DescribeConfig) -> Iterator[DescribedSubject]:
    """Yields the events of the configured kinds, then the objects of the configured classes."""
    tracks, events = results.get(Tracks), results.get(Events)
    for event in () if events is None else events.items:
        if event.kind in config.events:
            yield _of_event(event, frame, tracks)
    detections = results.get(Detections)
    if tracks is not None:
        yield from _of_tracks(tracks, config)
    elif detections is not None:
        yield from _of_detections(detections, config)


def _of_event(event: Event, frame: Frame, tracks: Tracks | None) -> DescribedSubject:
    """Returns the region of an event: that of the track or the box in its facts, else the whole frame."""
    track = event.facts.get("track")
    number = track if isinstance(track, int) and not isinstance(track, bool) else None
    box = _box_of_track(tracks, number) or _box_in(event.facts.get("box")) or (0.0, 0.0, frame.width, frame.height)
    facts: dict[str, JsonValue] = {"kind": event.kind} | ({} if number is None else {"track": number})
    ref = EventRef(event.kind, frame.wall_time, event.facts)
    return DescribedSubject(("event", event.kind, number), box, facts, ref)


def _box_of_track(tracks: Tracks | None, number: int | None) -> Sequence[float] | None:
    rows = [] if tracks is None or number is None else (tracks.ids == number).nonzero()[0].tolist()
    boxes: list[list[float]] = [] if tracks is None else tracks.boxes[rows].tolist()
    return boxes[0] if boxes else None


def _box_in(value: object) -> Sequence[float] | None:
    """Returns a box among an event's facts; None if it is none."""
    if not isinstance(value, (list, tuple)) or len(value) != 4:
        return None
    sides = [float(side) for side in value if isinstance(side, (int, float)) and math.isfinite(side)]
    return sides if len(sides) == 4 and sides[0] < sides[2] and sides[1] < sides[3] else None


def _of_tracks(tracks: Tracks, config: DescribeConfig) -> Iterator[DescribedSubject]:
    """Yields the tracks that were detected on this very frame, so that their boxes are exact."""
    columns = (tracks.boxes, tracks.scores, tracks.class_ids, tracks.ids, tracks.ages, tracks.detection)
    for box, score, class_id, number, age, row in zip(*(column.tolist() for column in columns), strict=True):
        label = label_of(tracks.labels, class_id)
        if row >= 0 and score >= config.min_score and age >= config.min_age and _is_wanted(label, config):
            yield _of_object(box, label, score, number)


def _of_detections(found: Detections, config: DescribeConfig) -> Iterator[DescribedSubject]:
    """Yields the detections of this very frame, the most certain first."""
    found = found.select(~found.carried)
    columns = (found.scores, found.boxes, found.class_ids)
    rows = sorted(zip(*(column.tolist() for column in columns), strict=True), reverse=True)
    for score, box, class_id in rows:
        label = label_of(found.labels, class_id)
        if score >= config.min_score and _is_wanted(label, config):
            yield _of_object(box, label, score, None)


def _of_object(box: Sequence[float], label: str, score: float, number: int | None) -> DescribedSubject:
    facts: dict[str, JsonValue] = {"class": label} | ({} if number is None else {"track": number})
    facts["score"] = round(score, 3)
    return DescribedSubject(("object", label, number), box, facts)


def _is_wanted(label: str, config: DescribeConfig) -> bool:
    return label.casefold() in {name.casefold() for name in config.classes}


class Cooldown:
    """Remembers when the subjects of one camera were last described, for `seconds`. Not thread-safe."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._begun: dict[SubjectKey, float] = {}

    def is_over(self, key: SubjectKey, now: float) -> bool:
        """Whether the subject may be described at `now`, the time of a frame in monotonic s."""
        begun = self._begun.get(key)
        return begun is None or now - begun >= self._seconds

    def begin(self, key: SubjectKey, now: float) -> None:
        """Starts the cool-down of a subject, and drops those that are over."""
        self._begun = {one: begun for one, begun in self._begun.items() if now - begun < self._seconds}
        self._begun[key] = now
