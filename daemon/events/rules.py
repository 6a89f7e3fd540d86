"""Decides which events of plug-ins are stored, by the rules of the configuration."""

from __future__ import annotations

import hashlib
import json
import threading
import unicodedata
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from sightd.daemon.config.rules import UNKNOWN, Condition, EventRule
from sightd.daemon.events.event import PendingEvent
from sightd.plugins.api import AnyPlugin, EventRef, Phase
from sightd.plugins.configuration.declarations import declared_events
from sightd.plugins.schedule.weekly import Schedule, parse_schedule

MOST_BEGINNINGS = 10_000
"""Beginnings that are remembered; beyond this, the oldest are forgotten."""
MOST_COOLDOWNS = 1000
"""Cool-downs of one rule; beyond this, the one that began first ends early."""


@dataclass(frozen=True, slots=True)
class EventTime:
    """When an event happened, in s. Cool-downs need only differences. Schedules need seconds since the epoch; they
    always hold for an event without `time_of_day`, such as one of a film."""

    at: float
    time_of_day: bool = True


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule without its cool-down: pure conditions."""

    name: str
    options: EventRule
    schedule: Schedule | None
    persons: frozenset[str]

    @classmethod
    def of(cls, name: str, options: EventRule) -> Rule:
        schedule = None if options.active is None else parse_schedule(options.active)
        return cls(name, options, schedule, frozenset(map(_folded, options.persons or ())))

    def names(self, kind: str) -> bool:
        """Returns whether the rule is about events of a kind."""
        return any(fnmatchcase(kind, pattern) for pattern in self.options.kinds)

    def unmet(self, camera: str | None, facts: Mapping[str, Any]) -> tuple[Condition, ...]:
        """Returns the conditions on camera and facts that do not hold for an event of a kind that the rule names."""
        return tuple(condition for condition, holds in self._conditions(camera, facts) if not holds)

    def is_active(self, time: EventTime) -> bool:
        """Returns whether the schedule holds, if there is one."""
        if self.schedule is None or not time.time_of_day:
            return True
        name = self.options.timezone
        return self.schedule.is_active(datetime.fromtimestamp(time.at, None if name is None else ZoneInfo(name)))

    def _conditions(self, camera: str | None, facts: Mapping[str, Any]) -> Iterator[tuple[Condition, bool]]:
        options = self.options
        yield Condition.CAMERAS, options.cameras is None or camera in options.cameras
        yield Condition.ZONES, options.zones is None or facts.get("zone") in options.zones
        yield Condition.LINES, options.lines is None or facts.get("line") in options.lines
        yield Condition.CLASSES, options.classes is None or facts.get("class") in options.classes
        yield Condition.PERSONS, options.persons is None or _person(facts) in self.persons
        yield Condition.MIN_SCORE, options.min_score is None or _reaches(facts.get("score"), options.min_score)
        yield Condition.AT_LEAST, all(_reaches(facts.get(name), least) for name, least in options.at_least.items())


def _person(facts: Mapping[str, Any]) -> str:
    person = facts.get("person")
    return _folded(person) if isinstance(person, str) else UNKNOWN


def _folded(name: str) -> str:
    """Names of persons are compared as the gallery does."""
    return unicodedata.normalize("NFC", " ".join(name.split())).casefold()


def _reaches(value: object, least: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= least


class Cooldowns:
    """The cool-downs of one rule, each of `seconds`, by camera and the value of the fact `per`. They begin with an
    event that the rule selected. Times are those of the events: one that is earlier by more than `seconds` is taken
    for a clock that was set back, and selected."""

    def __init__(self, seconds: float, per: str) -> None:
        self._seconds, self._per = seconds, per
        self._began: OrderedDict[tuple[str | None, str], float] = OrderedDict()

    def holds(self, event: PendingEvent, at: float) -> bool:
        """Returns whether an event at a time (s) is within a cool-down."""
        began = self._began.get(self._key(event))
        return began is not None and abs(at - began) < self._seconds

    def begin(self, event: PendingEvent, at: float) -> None:
        key = self._key(event)
        self._began[key] = at
        self._began.move_to_end(key)
        if len(self._began) > MOST_COOLDOWNS:
            self._began.popitem(last=False)

    def _key(self, event: PendingEvent) -> tuple[str | None, str]:
        return event.camera, "" if self._per == "camera" else json.dumps(event.facts.get(self._per))


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether an event is stored; the rules that select it, and why each of the other rules that are about it does
    not."""

    stored: bool
    selected_by: tuple[str, ...] = ()
    held_back: Mapping[str, tuple[Condition, ...]] = field(default_factory=dict)


class SuppressionObserver(Protocol):
    """Counts events that are not stored, for metrics; called from any thread."""

    def rules(self, names: Iterable[str]) -> None:
        """These are all the rules that there are now."""

    def suppressed(self, rule: str, reason: str) -> None: ...


@dataclass(frozen=True, slots=True)
class _Active:
    """A rule and its cool-downs, which a reload that does not change the rule keeps."""

    rule: Rule
    cooldowns: Cooldowns | None

    @classmethod
    def of(cls, name: str, options: EventRule) -> _Active:
        cooldowns = None if options.cooldown is None else Cooldowns(options.cooldown, options.per)
        return cls(Rule.of(name, options), cooldowns)

    def unmet(self, event: PendingEvent, beginning: EventRef | None, time: EventTime) -> tuple[Condition, ...] | None:
        """Returns what keeps the rule from selecting an event; nothing if it selects it, which begins a cool-down. None
        if the rule is not about the event. It did not select the event's `beginning`, if it has one."""
        if beginning is not None and self._passed_over(event.camera, beginning):
            return (Condition.BEGINNING,)
        if not self.rule.names(event.kind):
            return None
        unmet = self.rule.unmet(event.camera, event.facts)
        if not self.rule.is_active(time):
            unmet += (Condition.ACTIVE,)
        if unmet or self.cooldowns is None:
            return unmet
        if self.cooldowns.holds(event, time.at):
            return (Condition.COOLDOWN,)
        self.cooldowns.begin(event, time.at)
        return ()

    def _passed_over(self, camera: str | None, beginning: EventRef) -> bool:
        """Returns whether only the schedule or a cool-down can have kept the rule from selecting a beginning."""
        return self.rule.names(beginning.kind) and not self.rule.unmet(camera, beginning.facts)


class EventRules:
    """Decides about events, one after the other. Any thread.

    - An event that a rule selects is stored.
    - Of a kind that a rule names, or that its plug-in declares as `by_rule`, no other events are stored; all of other
      kinds are.
    - An update or end is also stored if its beginning was. Rules that selected the beginning select it too; those whose
      schedule or cool-down kept them from it do not. Others decide by the facts that are known now.

    Up to MOST_BEGINNINGS stored beginnings are remembered until their end.
    """

    def __init__(self, observer: SuppressionObserver | None = None) -> None:
        self._observer = observer
        self._lock = threading.Lock()
        self._active: dict[str, _Active] = {}
        self._by_rule: frozenset[str] = frozenset()
        self._begun: OrderedDict[bytes, tuple[str, ...]] = OrderedDict()

    def apply(self, rules: Mapping[str, EventRule], by_rule: Collection[str]) -> None:
        """Replaces the rules; those that do not change keep their cool-downs. `by_rule` are the kinds of events that
        are stored only if a rule selects them."""
        with self._lock:
            kept = {name: one for name, one in self._active.items() if one.rule.options == rules.get(name)}
            self._active = {name: kept.get(name) or _Active.of(name, options) for name, options in rules.items()}
            self._by_rule = frozenset(by_rule)
        if self._observer is not None:
            self._observer.rules(rules)

    def admit(self, event: PendingEvent) -> PendingEvent | None:
        """Returns the event with the rules that select it, or None if it is not to be stored, and counts it then."""
        decision = self.decide(event)
        if decision.stored:
            return replace(event, rules=decision.selected_by)
        if self._observer is not None:
            for rule, unmet in decision.held_back.items():
                self._observer.suppressed(rule, unmet[0])
        return None

    def decide(self, event: PendingEvent, time: EventTime | None = None) -> Decision:
        """Decides about an event of a plug-in. `time` is that of the event by default."""
        with self._lock:
            return self._decided(event, time or EventTime(event.at))

    def _decided(self, event: PendingEvent, time: EventTime) -> Decision:
        beginning = event.about if event.phase in (Phase.UPDATED, Phase.ENDED) else None
        began = None if beginning is None else self._begun.get(_key(event.camera, beginning))
        selected, held_back = list(began or ()), dict[str, tuple[Condition, ...]]()
        for name, active in self._active.items():
            unmet = None if name in selected else active.unmet(event, beginning, time)
            if unmet:
                held_back[name] = unmet
            elif unmet is not None:
                selected.append(name)
        first = event.kind if beginning is None else beginning.kind
        stored = bool(selected) or began is not None or not self._is_filtered(first)
        self._remember(event, selected, stored=stored)
        return Decision(stored, tuple(selected), held_back)

    def _is_filtered(self, kind: str) -> bool:
        return kind in self._by_rule or any(active.rule.names(kind) for active in self._active.values())

    def _remember(self, event: PendingEvent, selected: list[str], *, stored: bool) -> None:
        if event.phase is Phase.BEGAN and stored:
            self._begun[_key(event.camera, EventRef(event.kind, event.at, event.facts))] = tuple(selected)
            if len(self._begun) > MOST_BEGINNINGS:
                self._begun.popitem(last=False)
        elif event.phase is Phase.ENDED and event.about is not None:
            self._begun.pop(_key(event.camera, event.about), None)


def kinds_by_rule(plugins: Iterable[type[AnyPlugin]]) -> frozenset[str]:
    """Returns the kinds of events of these plug-ins that are stored only if a rule selects them."""
    return frozenset(spec.kind for plugin in plugins for spec in declared_events(plugin) if spec.by_rule)


def _key(camera: str | None, event: EventRef) -> bytes:
    text = json.dumps((camera, event.kind, event.at, dict(event.facts)), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
