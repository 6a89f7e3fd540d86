"""Reports what the pipeline observes of a plug-in instance as metrics and events."""

from __future__ import annotations

import threading
import time

from sightd.daemon.events.event import EventKind
from sightd.daemon.events.journal import Journal
from sightd.daemon.metrics.plugin import PluginMetrics
from sightd.daemon.pipeline.breaker import BreakerState
from sightd.engines.sessions.engine import Engine
from sightd.plugins.api import EventRef, Phase
from sightd.plugins.configuration.declarations import Declarations

_LEVEL = 0.1
"""Weight of the newest call in the moving average."""


class PluginObservation:
    """A `daemon.pipeline.manager.Observer` that writes metrics, and events when a plug-in is disabled after failures or
    recovers. Thread-safe."""

    def __init__(self, metrics: PluginMetrics, journal: Journal) -> None:
        self._metrics, self._journal = metrics, journal
        self._lock = threading.Lock()
        self.seconds: float | None = None
        """Moving average of the time a call of `process` takes, in seconds; None before the first call."""
        self._reason = ""
        self._out_since: float | None = None
        self._down: EventRef | None = None

    def removed(self) -> None:
        """Ends what lasts, because no camera uses the plug-in any more."""
        with self._lock:
            down, self._down = self._down, None
        if down is not None:
            name = self._metrics.name
            self._journal.note(EventKind.PLUGIN_DOWN, plugin=name, phase=Phase.ENDED, about=down, reason="removed")

    def declares(self, declarations: Declarations) -> None:
        self._metrics.declares(declarations)

    def begins(self) -> None:
        self._metrics.begins()

    def took(self, phase: str, seconds: float) -> None:
        self._metrics.duration[phase].observe(seconds)
        if phase == "process":  # a lost update between threads does no harm
            known = self.seconds
            self.seconds = seconds if known is None else known + _LEVEL * (seconds - known)

    def fault(self, reason: str) -> None:
        self._reason = reason
        self._metrics.failed(reason)

    def breaker(self, state: BreakerState) -> None:
        self._metrics.breaker(state)
        if (state is BreakerState.CLOSED) is (self._out_since is None):
            return  # the usual case for each frame; a trial in progress is not reported
        with self._lock:
            since = self._out_since
            if state is BreakerState.OPEN and since is None:
                self._out_since = time.monotonic()
                self._down = self._journal.note(
                    EventKind.PLUGIN_DOWN, plugin=self._metrics.name, phase=Phase.BEGAN, reason=self._reason
                )
            elif state is BreakerState.CLOSED and since is not None:
                down, self._down, self._out_since = self._down, None, None
                away = round(time.monotonic() - since, 3)
                self._journal.note(
                    EventKind.PLUGIN_UP, plugin=self._metrics.name, phase=Phase.ENDED, about=down, away=away
                )

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
