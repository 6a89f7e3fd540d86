"""The metrics and events that a plug-in's class declares, and checks of its results against them."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeGuard, TypeVar

from sightd.plugins.api import (
    MAX_EVENTS,
    MAX_FACTS,
    MAX_VALUES,
    AnyPlugin,
    Count,
    CountedResult,
    CounterSpec,
    Event,
    EventRef,
    Events,
    EventSpec,
    GaugeSpec,
    GaugeValue,
    JsonValue,
    MeasuredResult,
    MetricSpec,
    Phase,
    PluginError,
    Results,
)

T = TypeVar("T")


class UndeclaredError(TypeError):
    """A result reports something that the plug-in's class does not declare, or in a form that is not allowed."""


@dataclass(frozen=True, slots=True)
class Declarations:
    """The counters and gauges of a plug-in, by name: its own and those of the result types that it produces; its kinds
    of events."""

    counters: Mapping[str, CounterSpec]
    kinds: frozenset[str]
    gauges: Mapping[str, GaugeSpec] = field(default_factory=dict)

    @classmethod
    def of(cls, plugin: type[AnyPlugin]) -> Declarations:
        """Raises PluginError if the class declares something else than metrics and events, two different metrics of
        the same name, or events that `produces` does not name."""
        kinds = _listed(plugin.events, (EventSpec,), "events", plugin)
        if (Events in plugin.produces) is not bool(kinds):
            raise PluginError(f"{plugin.__name__}: declare `events` and name Events in `produces`, or neither")
        metrics = _metrics(plugin)
        counters = {name: spec for name, spec in metrics.items() if isinstance(spec, CounterSpec)}
        gauges = {name: spec for name, spec in metrics.items() if isinstance(spec, GaugeSpec)}
        return cls(counters, frozenset(spec.kind for spec in kinds), gauges)

    @property
    def metrics(self) -> tuple[MetricSpec, ...]:
        """All counters and gauges."""
        return *self.counters.values(), *self.gauges.values()

    def counts(self, results: Results) -> dict[type, tuple[Count, ...]]:
        """Returns what each of the results counts, by its type. Raises UndeclaredError, and what `counts` raises."""
        return {type(item): self._counts(item) for item in results if _has_counts(item)}

    def measured(self, results: Results) -> tuple[GaugeValue, ...]:
        """Returns the values that the results give to gauges. Raises UndeclaredError, and what `gauges` raises."""
        return tuple(value for item in results if _has_gauges(item) for value in self._gauges(item))

    def events(self, results: Results) -> tuple[Event, ...]:
        """Returns the events among the results, with copies of their facts. Raises UndeclaredError."""
        events = results.get(Events)
        if events is None:
            return ()
        if len(events.items) > MAX_EVENTS:
            raise UndeclaredError(f"process returned {len(events.items)} events for a frame; at most {MAX_EVENTS}")
        return tuple(self._event(event) for event in events.items)

    def _counts(self, item: CountedResult) -> tuple[Count, ...]:
        counts = tuple(item.counts())
        for count in counts:
            problem = self._problem_of(count)
            if problem is not None:
                raise UndeclaredError(f"{type(item).__name__}.counts: {problem}")
        return counts

    def _problem_of(self, count: object) -> str | None:
        if not isinstance(count, Count):
            return f"returned {type(count).__name__}, expected Count"
        spec = self.counters.get(count.metric)
        if spec is None:
            return f"the counter {count.metric!r} is not declared in `metrics`"
        if not isinstance(count.number, int) or count.number < 0:
            return f"{count.metric}: number is {count.number!r}, expected a whole number from 0"
        return None if _allows(spec, count.value) else f"{count.metric}: value {count.value!r} is not declared"

    def _gauges(self, item: MeasuredResult) -> tuple[GaugeValue, ...]:
        values = tuple(item.gauges())
        for value in values:
            problem = self._problem_of_gauge(value)
            if problem is not None:
                raise UndeclaredError(f"{type(item).__name__}.gauges: {problem}")
        for metric, number in Counter(value.metric for value in values).items():
            if number > MAX_VALUES:
                raise UndeclaredError(
                    f"{type(item).__name__}.gauges: {metric} has {number} values; at most {MAX_VALUES}"
                )
        return values

    def _problem_of_gauge(self, value: object) -> str | None:
        if not isinstance(value, GaugeValue):
            return f"returned {type(value).__name__}, expected GaugeValue"
        spec = self.gauges.get(value.metric)
        if spec is None:
            return f"the gauge {value.metric!r} is not declared in `metrics`"
        if not isinstance(value.number, (int, float)) or not math.isfinite(value.number):
            return f"{value.metric}: number is {value.number!r}, expected a finite number"
        return None if _allows(spec, value.value) else f"{value.metric}: value {value.value!r} is not declared"

    def _event(self, event: object) -> Event:
        if not isinstance(event, Event):
            raise UndeclaredError(f"Events holds {type(event).__name__}, expected Event")
        if event.kind not in self.kinds:
            raise UndeclaredError(f"the event kind {event.kind!r} is not declared in `events`")
        facts = _copied(event.kind, event.facts)
        if "rules" in facts:
            raise UndeclaredError(f"{event.kind}: the fact rules is added by the daemon; choose another name")
        if not isinstance(event.phase, Phase):
            raise UndeclaredError(f"{event.kind}: phase is {event.phase!r}, expected a Phase")
        if event.about is None:
            if event.phase in (Phase.UPDATED, Phase.ENDED):
                raise UndeclaredError(f"{event.kind}: phase is {event.phase}, so about must name the event that began")
            return Event(event.kind, facts, phase=event.phase)
        if not isinstance(event.about, EventRef):
            raise UndeclaredError(f"{event.kind}: about is {type(event.about).__name__}, expected EventRef")
        if "event" in facts:
            raise UndeclaredError(f"{event.kind}: the fact event is added by the daemon, because about is set")
        about = event.about
        ref = EventRef(str(about.kind), float(about.at), _copied(about.kind, about.facts))
        return Event(event.kind, facts, ref, event.phase)


def declared_events(plugin: type[AnyPlugin]) -> tuple[EventSpec, ...]:
    """Returns the kinds of events that a class declares; none if it declares them wrongly, which `Declarations.of`
    reports."""
    try:
        return _listed(plugin.events, (EventSpec,), "events", plugin)
    except PluginError:
        return ()


def _copied(kind: str, facts: object) -> dict[str, JsonValue]:
    """Returns a copy of an event's facts, as they are after being written as JSON. Raises UndeclaredError."""
    if not isinstance(facts, Mapping):
        raise UndeclaredError(f"{kind}: facts is {type(facts).__name__}, expected a mapping")
    try:
        written = json.dumps(dict(facts), ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise UndeclaredError(f"{kind}: facts cannot be written as JSON: {error}") from None
    if len(written) > MAX_FACTS:
        raise UndeclaredError(f"{kind}: facts take {len(written)} bytes as JSON; at most {MAX_FACTS}")
    copied: dict[str, JsonValue] = json.loads(written)
    return copied


def _metrics(plugin: type[AnyPlugin]) -> dict[str, MetricSpec]:
    declared: tuple[MetricSpec, ...] = _listed(plugin.metrics, (CounterSpec, GaugeSpec), "metrics", plugin)
    for kind in sorted(plugin.produces, key=lambda kind: kind.__name__):
        metrics = getattr(kind, "metrics", ())
        declared += metrics if isinstance(metrics, tuple) else ()  # a column of another type may have this name
    found: dict[str, MetricSpec] = {}
    for spec in declared:
        if found.setdefault(spec.name, spec) != spec:
            raise PluginError(f"{plugin.__name__} declares the metric {spec.name!r} twice, differently")
    return found


def _listed(declared: object, kinds: tuple[type[T], ...], name: str, plugin: type[AnyPlugin]) -> tuple[T, ...]:
    if not isinstance(declared, tuple) or not all(isinstance(spec, kinds) for spec in declared):
        expected = " and ".join(kind.__name__ for kind in kinds)
        raise PluginError(f"{plugin.__name__}.{name} is not a tuple of {expected}")
    return declared


def _has_counts(item: object) -> TypeGuard[CountedResult]:
    return callable(getattr(type(item), "counts", None))  # several times faster than isinstance with a protocol


def _has_gauges(item: object) -> TypeGuard[MeasuredResult]:
    return callable(getattr(type(item), "gauges", None))


def _allows(spec: MetricSpec, value: object) -> bool:
    if spec.label is None:
        return value is None
    if spec.values is not None:
        return value in spec.values
    return isinstance(value, str) and (value.isascii() or _is_unicode(value))


def _is_unicode(text: str) -> bool:
    """Whether the text can be written as UTF-8: a lone surrogate would make all metrics unreadable."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
