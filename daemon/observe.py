"""What the pipeline tells of a plug-in instance, as metrics."""

from __future__ import annotations

from daemon.metrics.plugin import PluginMetrics
from daemon.pipeline.breaker import BreakerState
from engines.engine import Engine


class PluginObservation:
    """A `daemon.pipeline.host.Observer` that writes metrics. Any thread."""

    def __init__(self, metrics: PluginMetrics) -> None:
        self._metrics = metrics

    def took(self, phase: str, seconds: float) -> None:
        self._metrics.duration[phase].observe(seconds)

    def fault(self, reason: str) -> None:
        self._metrics.failed(reason)

    def breaker(self, state: BreakerState) -> None:
        self._metrics.breaker(state)

    def batch(self, size: int) -> None:
        self._metrics.batch_size.observe(size)

    def resident(self, size: int) -> None:
        self._metrics.process_resident(size)

    def used(self, cpu: float) -> None:
        self._metrics.process_used(cpu)

    def restarted(self) -> None:
        self._metrics.process_restarted()

    def engine(self, engine: Engine) -> None:
        backend = engine.session.backend
        self._metrics.engine(engine.model.name, backend.name, backend.precision, backend.device)
