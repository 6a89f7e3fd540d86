"""Metrics of the event journal."""

from __future__ import annotations

from collections.abc import Iterable

from sightd.daemon.metrics.families import Families


class EventMetrics:
    """A `daemon.events.journal.JournalObserver`. Created by `Metrics`; thread-safe."""

    def __init__(self, families: Families, kinds: Iterable[str]) -> None:
        """Counters of `kinds` start at 0."""
        self._events = families.events
        self._noted = {kind: families.events.labels(kind) for kind in kinds}
        self._lost, self._waiting = families.events_lost, families.events_waiting
        self._writable = families.state_writable.labels("events")

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
