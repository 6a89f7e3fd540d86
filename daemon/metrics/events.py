"""What is counted of the journal of events."""

from __future__ import annotations

from collections.abc import Iterable

from sightd.daemon.metrics.families import Families


class EventMetrics:
    """A `daemon.events.journal.JournalObserver`. Made by `Metrics`; any thread."""

    def __init__(self, families: Families, kinds: Iterable[str]) -> None:
        """`kinds` begin at 0."""
        self._noted = {kind: families.events.labels(kind) for kind in kinds}
        self._lost, self._waiting = families.events_lost, families.events_waiting
        self._writable = families.state_writable.labels("events")

    def noted(self, kind: str) -> None:
        """KeyError unless the kind was named at the beginning."""
        self._noted[kind].inc()

    def lost(self, count: int) -> None:
        self._lost.inc(count)

    def waiting(self, count: int) -> None:
        self._waiting.set(count)

    def writable(self, able: bool) -> None:
        self._writable.set(able)
