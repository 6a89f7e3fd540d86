"""Metrics of one plug-in instance."""

from __future__ import annotations

from prometheus_client import Gauge, Histogram

from sightd.daemon.metrics.declared import DeclaredCounters
from sightd.daemon.metrics.events import EventMetrics
from sightd.daemon.metrics.families import BREAKER_STATES, FAULTS, PHASES, Families, Series
from sightd.plugins.configuration.declarations import Declarations


class PluginMetrics:
    """A plug-in's time series with labels bound in advance. Created by `Metrics.plugin`; thread-safe."""

    def __init__(self, name: str, families: Families, declared: DeclaredCounters, events: EventMetrics) -> None:
        self.name = name
        self._declared, self._events = declared, events
        self._families = families
        self._series = series = Series()
        self._engines: set[tuple[str, str, str, str]] = set()
        self.batch_size: Histogram = series.bind(families.batch_size, name)
        self.duration = {phase: series.bind(families.plugin_duration, name, phase) for phase in PHASES}
        self._breaker: Gauge = series.bind(families.plugin_breaker_state, name)
        self._faults = {reason: series.bind(families.plugin_faults, name, reason) for reason in FAULTS}

    def declares(self, declarations: Declarations) -> None:
        """Registers what the plug-in's class declares; idempotent. Raises PluginError if a counter cannot be
        registered."""
        self._declared.declare(self.name, declarations.counters.values())
        self._events.declare(declarations.kinds)

    def begins(self) -> None:
        """A new instance starts: clears the engine and process series of the previous one, and closes the breaker."""
        for engine in self._engines:
            self._series.unbind(self._families.engine_info, self.name, *engine)
        self._engines.clear()
        self._series.unbind(self._families.plugin_resident, self.name)
        self._series.unbind(self._families.plugin_restarts, self.name)
        self._series.unbind(self._families.plugin_cpu, self.name)
        self.breaker(BREAKER_STATES[0])

    def failed(self, reason: str) -> None:
        """Counts a failed call. Raises KeyError unless the reason is one of `families.FAULTS`."""
        self._faults[reason].inc()

    def breaker(self, state: str) -> None:
        """Sets the circuit breaker's state. Raises ValueError unless it is one of `families.BREAKER_STATES`."""
        self._breaker.set(BREAKER_STATES.index(state))

    def process_resident(self, size: int) -> None:
        """Sets the resident memory of the plug-in's process, in bytes. Only isolated plug-ins have the process
        series."""
        self._series.bind(self._families.plugin_resident, self.name).set(size)
        self._series.bind(self._families.plugin_restarts, self.name)

    def process_used(self, cpu: float) -> None:
        self._series.bind(self._families.plugin_cpu, self.name).inc(cpu)

    def process_restarted(self) -> None:
        self._series.bind(self._families.plugin_restarts, self.name).inc()

    def engine(self, model: str, backend: str, precision: str, device: str) -> None:
        """Reports a model running for this plug-in; replaces the entry of the same model with other settings."""
        for known in [engine for engine in self._engines if engine[0] == model]:
            self._series.unbind(self._families.engine_info, self.name, *known)
            self._engines.discard(known)
        engine = (model, backend, precision, device)
        self._engines.add(engine)
        self._series.bind(self._families.engine_info, self.name, *engine).set(1)

    def remove(self) -> None:
        """Removes all of the plug-in's time series."""
        self._series.remove()
