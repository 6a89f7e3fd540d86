"""Metrics of the sinks that events are delivered to."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import Counter

from sightd.daemon.metrics.families import OUTCOMES, Families, Series


class SinkMetrics:
    """A sink's counters; a `daemon.delivery.worker.DeliveryObserver`. Thread-safe."""

    def __init__(self, name: str, families: Families, pending: Callable[[], int], oldest: Callable[[], float]) -> None:
        self._series = Series()
        self._events: dict[str, Counter] = {
            outcome: self._series.bind(families.delivery.events, name, outcome) for outcome in OUTCOMES
        }
        self._series.bind(families.delivery.pending, name).set_function(pending)
        self._series.bind(families.delivery.oldest, name).set_function(oldest)

    def counted(self, outcome: str, count: int = 1) -> None:
        """Counts events. Raises KeyError unless the outcome is one of `families.OUTCOMES`."""
        self._events[outcome].inc(count)

    def remove(self) -> None:
        """Removes the sink's time series."""
        self._series.remove()


class DeliveryMetrics:
    """The metrics of all sinks. Created by `Metrics`; called by one thread at a time."""

    def __init__(self, families: Families) -> None:
        self._families = families
        self._sinks: dict[str, SinkMetrics] = {}

    def sink(self, name: str, pending: Callable[[], int], oldest: Callable[[], float]) -> SinkMetrics:
        """Adds a sink's series. `pending` returns the number of events that wait, `oldest` the age of the first in s;
        both are called for each scrape and must not wait."""
        self._sinks[name] = SinkMetrics(name, self._families, pending, oldest)
        return self._sinks[name]

    def remove(self, name: str) -> None:
        """Removes the series of a sink."""
        self._sinks.pop(name).remove()
