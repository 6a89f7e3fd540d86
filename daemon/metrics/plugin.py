"""Metrics of plug-ins and of the event journal, and the counters and gauges that plug-ins declare."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeAlias

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.core import GaugeMetricFamily

from sightd.daemon.config.rules import Condition
from sightd.daemon.metrics.families import BREAKER_STATES, FAULTS, PHASES, Families, Series
from sightd.plugins.api import CounterSpec, GaugeSpec, MetricSpec, PluginError
from sightd.plugins.configuration.declarations import Declarations

GaugeSource: TypeAlias = Callable[[str], Mapping[tuple[str, str | None], float]]
"""Returns the current values of a gauge, by camera and value of its label."""


class _GaugeCollector:
    """A Prometheus collector of one gauge that a plug-in declares. It keeps no series: they are those that `source`
    returns when it is called."""

    def __init__(self, spec: GaugeSpec, source: GaugeSource) -> None:
        self._spec, self._source = spec, source

    def describe(self) -> Iterator[Metric]:
        yield self._family()

    def collect(self) -> Iterator[Metric]:
        family = self._family()
        for (camera, value), number in self._source(self._spec.name).items():
            family.add_metric([camera] if value is None else [camera, value], number)
        yield family

    def _family(self) -> GaugeMetricFamily:
        return GaugeMetricFamily(self._spec.metric, self._spec.help, labels=_labels(self._spec))


class DeclaredMetrics:
    """The metric families that plug-ins declare. They stay registered, without series, when the plug-in is closed.
    Thread-safe."""

    def __init__(self, registry: CollectorRegistry, gauges: GaugeSource) -> None:
        self._registry, self._gauges = registry, gauges
        self._lock = threading.Lock()
        self._declared: dict[str, tuple[MetricSpec, str]] = {}
        self._counters: dict[str, tuple[CounterSpec, Counter]] = {}

    def declare(self, plugin: str, specs: Iterable[MetricSpec]) -> None:
        """Registers the families of a plug-in; idempotent.

        Raises PluginError if another plug-in has declared the name differently, or sightd itself has such a metric.
        """
        with self._lock:
            for spec in specs:
                known = self._declared.get(spec.name)
                if known is None:
                    self._register(plugin, spec)
                    self._declared[spec.name] = (spec, plugin)
                elif known[0] != spec:
                    raise PluginError(
                        f"plug-in {plugin} declares the metric {spec.metric} with another type, help text, label or "
                        f"values than plug-in {known[1]}; its author must choose another name"
                    )

    def counter(self, name: str) -> tuple[CounterSpec, Counter]:
        """Returns a declared counter. Raises KeyError if there is none of that name."""
        return self._counters[name]

    def _register(self, plugin: str, spec: MetricSpec) -> None:
        try:
            if isinstance(spec, CounterSpec):
                counter = Counter(spec.metric, spec.help, _labels(spec), registry=self._registry)
                self._counters[spec.name] = spec, counter
            else:
                self._registry.register(_GaugeCollector(spec, self._gauges))
        except ValueError as error:
            raise PluginError(
                f"plug-in {plugin} declares the metric {spec.metric}, which cannot be registered: {error}; its author "
                "must choose another name"
            ) from None


def _labels(spec: MetricSpec) -> tuple[str, ...]:
    return ("camera",) if spec.label is None else ("camera", spec.label)


class EventMetrics:
    """A `daemon.events.journal.JournalObserver`. Created by `Metrics`; thread-safe."""

    def __init__(self, families: Families, kinds: Iterable[str]) -> None:
        """Counters of `kinds` start at 0."""
        self._events = families.events.total
        self._noted = {kind: families.events.total.labels(kind) for kind in kinds}
        self._lost, self._waiting = families.events.lost, families.events.waiting
        self._writable = families.daemon.state_writable.labels("events")

    def declare(self, kinds: Iterable[str]) -> None:
        """Adds kinds, whose counters start at 0; idempotent."""
        for kind in kinds:
            self._noted.setdefault(kind, self._events.labels(kind))

    def noted(self, kind: str) -> None:
        """Raises KeyError unless the kind was declared."""
        self._noted[kind].inc()

    def lost(self, count: int) -> None:
        self._lost.inc(count)

    def waiting(self, count: int) -> None:
        self._waiting.set(count)

    def writable(self, able: bool) -> None:
        self._writable.set(able)


class RuleMetrics:
    """Counts events that rules hold back; a `daemon.events.rules.SuppressionObserver`. Created by `Metrics`;
    thread-safe."""

    def __init__(self, families: Families) -> None:
        self._families = families
        self._rules: dict[str, tuple[Series, dict[str, Counter]]] = {}

    def rules(self, names: Iterable[str]) -> None:
        """Has a series for each of these rules and each reason, and none of other rules."""
        before = self._rules
        self._rules = {name: before.get(name) or self._bound(name) for name in names}
        for name in before.keys() - self._rules.keys():
            before[name][0].remove()

    def suppressed(self, rule: str, reason: str) -> None:
        """Raises KeyError unless the reason is a `Condition`. Ignores rules that were removed meanwhile."""
        if (found := self._rules.get(rule)) is not None:
            found[1][reason].inc()

    def _bound(self, name: str) -> tuple[Series, dict[str, Counter]]:
        series, family = Series(), self._families.events.suppressed
        return series, {reason: series.bind(family, name, reason) for reason in map(str, Condition)}


class PluginMetrics:
    """A plug-in's time series with labels bound in advance. Created by `Metrics.plugin`; thread-safe."""

    def __init__(self, name: str, families: Families, declared: DeclaredMetrics, events: EventMetrics) -> None:
        self.name = name
        self.is_disabled = False
        """Whether the circuit breaker has disabled it."""
        self._declared, self._events = declared, events
        self._families = families
        self._series = series = Series()
        self._engines: set[tuple[str, str, str, str]] = set()
        self.batch_size: Histogram = series.bind(families.plugin.batch_size, name)
        self.duration = {phase: series.bind(families.plugin.duration, name, phase) for phase in PHASES}
        self._breaker: Gauge = series.bind(families.plugin.breaker_state, name)
        self._faults = {reason: series.bind(families.plugin.faults, name, reason) for reason in FAULTS}

    def declares(self, declarations: Declarations) -> None:
        """Registers what the plug-in's class declares; idempotent. Raises PluginError if a metric cannot be
        registered."""
        self._declared.declare(self.name, declarations.metrics)
        self._events.declare(declarations.kinds)

    def begins(self) -> None:
        """A new instance starts: clears the engine and process series of the previous one, and closes the breaker."""
        for engine in self._engines:
            self._series.unbind(self._families.plugin.engine_info, self.name, *engine)
        self._engines.clear()
        self._series.unbind(self._families.plugin.resident, self.name)
        self._series.unbind(self._families.plugin.restarts, self.name)
        self._series.unbind(self._families.plugin.cpu, self.name)
        self.breaker(BREAKER_STATES[0])

    def failed(self, reason: str) -> None:
        """Counts a failed call. Raises KeyError unless the reason is one of `families.FAULTS`."""
        self._faults[reason].inc()

    def breaker(self, state: str) -> None:
        """Sets the circuit breaker's state. Raises ValueError unless it is one of `families.BREAKER_STATES`."""
        self._breaker.set(BREAKER_STATES.index(state))
        self.is_disabled = state == BREAKER_STATES[2]

    def process_resident(self, size: int) -> None:
        """Sets the resident memory of the plug-in's process, in bytes. Only isolated plug-ins have the process
        series."""
        self._series.bind(self._families.plugin.resident, self.name).set(size)
        self._series.bind(self._families.plugin.restarts, self.name)

    def process_used(self, cpu: float) -> None:
        self._series.bind(self._families.plugin.cpu, self.name).inc(cpu)

    def process_restarted(self) -> None:
        self._series.bind(self._families.plugin.restarts, self.name).inc()

    def engine(self, model: str, backend: str, precision: str, device: str) -> None:
        """Reports a model running for this plug-in; replaces the entry of the same model with other settings."""
        for known in [engine for engine in self._engines if engine[0] == model]:
            self._series.unbind(self._families.plugin.engine_info, self.name, *known)
            self._engines.discard(known)
        engine = (model, backend, precision, device)
        self._engines.add(engine)
        self._series.bind(self._families.plugin.engine_info, self.name, *engine).set(1)

    def remove(self) -> None:
        """Removes all of the plug-in's time series."""
        self._series.remove()
