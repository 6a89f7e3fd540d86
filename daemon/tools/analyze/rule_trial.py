"""Runs a film through the chain of a camera, and decides about its events as the daemon would."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from sightd.daemon.config.model import Deinterlace
from sightd.daemon.events.event import PendingEvent, utc
from sightd.daemon.events.rules import Decision, EventRules, EventTime
from sightd.daemon.tools.analyze.job import OfflineChain
from sightd.daemon.tools.media import MediaError, MediaSequence, contents, frames, length, prefetch
from sightd.engines.progress import Progress
from sightd.engines.text import printable
from sightd.plugins.api import Events, Frame, JsonValue


@dataclass(frozen=True, slots=True)
class DecidedEvent:
    """An event of a film, `at` s after its beginning."""

    at: float
    event: PendingEvent
    decision: Decision

    def for_json(self) -> dict[str, JsonValue]:
        event, decision = self.event, self.decision
        return {
            "at": round(self.at, 3),
            "time": utc(event.at) if event.at else None,
            "kind": event.kind,
            "phase": str(event.phase),
            "camera": event.camera,
            "facts": dict(event.facts),
            "stored": decision.stored,
            "rules": list(decision.selected_by),
            "held_back": {rule: list(map(str, unmet)) for rule, unmet in decision.held_back.items()},
        }


@dataclass(slots=True)
class RuleTally:
    """How many events a rule selected, and how many it held back by the first condition that did not hold."""

    selected: int = 0
    held_back: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class TrialTally:
    """The numbers of a film: its events, those that are stored, and those of each rule."""

    rules: dict[str, RuleTally]
    events: int = 0
    stored: int = 0

    @classmethod
    def of(cls, rules: Iterable[str]) -> Self:
        return cls({name: RuleTally() for name in rules})

    def add(self, decision: Decision) -> None:
        self.events += 1
        self.stored += decision.stored
        for rule in decision.selected_by:
            self.rules[rule].selected += 1
        for rule, unmet in decision.held_back.items():
            self.rules[rule].held_back[unmet[0]] += 1

    @property
    def selected(self) -> bool:
        """Whether a rule selected an event."""
        return any(rule.selected for rule in self.rules.values())

    def for_json(self) -> dict[str, JsonValue]:
        rules: dict[str, JsonValue] = {
            name: {"selected": rule.selected, "held_back": {str(key): count for key, count in rule.held_back.items()}}
            for name, rule in self.rules.items()
        }
        return {"summary": {"events": self.events, "stored": self.stored, "rules": rules}}


def film_of(path: Path, camera: str, begins: float | None) -> MediaSequence:
    """Returns a film as if it came from a camera and began at a time, s since the epoch. Raises MediaError if it is
    not one video."""
    sequences = contents(path).sequences
    if len(sequences) != 1 or not sequences[0].is_video:
        raise MediaError(f"{printable(str(path))}: is not a film; name one video file")
    return replace(sequences[0], name=camera, begins=begins)


def decided(
    film: MediaSequence, chain: OfflineChain, rules: EventRules, deinterlace: Deinterlace, progress: Progress
) -> Iterator[DecidedEvent | MediaError]:
    """Yields the events of all frames, and what cannot be read in its place. Raises what the plug-ins raise."""
    total, size = length(film), None
    for number, item in enumerate(prefetch(frames(film, deinterlace)), 1):
        progress(printable(str(film.files[0])), number, total)
        if isinstance(item, MediaError):
            yield item
            continue
        if size not in (None, (item.frame.width, item.frame.height)):
            chain.forget(film.name)
        size = item.frame.width, item.frame.height
        found = chain.run(item.frame).get(Events)
        yield from _of_frame(item.frame, found or Events(()), rules)


def _of_frame(frame: Frame, events: Events, rules: EventRules) -> Iterable[DecidedEvent]:
    """Without a time of day, `wall_time` is 0, to which references of events refer; cool-downs need the film's time."""
    dated = frame.wall_time > 0
    time = EventTime(frame.wall_time if dated else frame.captured_at, time_of_day=dated)
    for event in events.items:
        pending = PendingEvent(
            event.kind, frame.wall_time, frame.camera, facts=event.facts, about=event.about, phase=event.phase
        )
        yield DecidedEvent(frame.captured_at, pending, rules.decide(pending, time))
