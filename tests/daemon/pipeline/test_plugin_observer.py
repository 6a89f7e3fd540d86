"""After a reload replaces a plug-in, its metrics and events are those of the new instance."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from sightd.daemon.events.journal import Journal
from sightd.daemon.metrics.registry import Metrics
from sightd.daemon.pipeline.breaker import BreakerState
from sightd.daemon.pipeline.manager import PluginManager
from sightd.daemon.pipeline.plugin_observer import PluginObservation
from sightd.plugins.api import Count, CounterSpec, Events, EventSpec, PluginConfig, PluginError
from tests.daemon.pipeline.plugins import Finder
from tests.support.event_counts import EventCounts


def test_one_that_was_disabled_and_is_replaced_is_reported_to_run_again(tmp_path: Path) -> None:
    metrics = Metrics(CollectorRegistry(), "1")
    journal = Journal(tmp_path / "events.db", 86400.0, 1000, EventCounts())
    journal.start()
    observation = PluginObservation(metrics.plugin("finder"), journal)
    manager = PluginManager(lambda *_: None, lambda _: observation)  # type: ignore[arg-type]
    manager.add(manager.open("finder", Finder, PluginConfig(isolate=False), cameras=1))
    observation.fault("error")
    observation.breaker(BreakerState.OPEN)
    observation.resident(5)
    manager.remove("finder")
    manager.add(manager.open("finder", Finder, PluginConfig(), cameras=1))
    value = metrics.registry.get_sample_value
    assert value("sightd_plugin_breaker_state", {"plugin": "finder"}) == 0
    assert value("sightd_plugin_process_resident_bytes", {"plugin": "finder"}) is None, "it has no process of its own"
    observation.breaker(BreakerState.CLOSED)
    observation.breaker(BreakerState.OPEN)
    observation.removed()
    observation.removed()
    manager.close()
    journal.close()
    told = [(event.kind, str(event.phase), event.began) for event in journal.reader.after(0, 10)]
    first, second = ("plugin.down", "began", None), ("plugin.up", "ended", 1)
    assert told == [first, second, first, ("plugin.down", "ended", 3)]


class Counting(Finder):
    """Declares a counter and a kind of event, and closes visibly."""

    produces = frozenset({Events})
    metrics = (CounterSpec("queues", "Queues."),)
    events = (EventSpec("queue.long", "A queue became long."),)
    closed = 0

    def close(self) -> None:
        Counting.closed += 1


class CountingDifferently(Counting):
    """Declares the same counter with another help text."""

    metrics = (CounterSpec("queues", "Waiting customers."),)


def test_what_a_plug_in_declares_is_registered_when_it_is_opened_and_a_clash_refuses_it(tmp_path: Path) -> None:
    metrics = Metrics(CollectorRegistry(), "1")
    journal = Journal(tmp_path / "events.db", 86400.0, 1000, EventCounts())
    manager = PluginManager(lambda *_: None, lambda name: PluginObservation(metrics.plugin(name), journal))  # type: ignore[arg-type]
    manager.add(manager.open("first", Counting, PluginConfig(), cameras=1))
    manager.add(manager.open("again", Counting, PluginConfig(), cameras=1))
    assert metrics.registry.get_sample_value("sightd_events_total", {"kind": "queue.long"}) == 0
    metrics.camera("door").count(Count("queues", None, 2))
    assert metrics.registry.get_sample_value("sightd_queues_total", {"camera": "door"}) == 2
    with pytest.raises(PluginError, match="plug-in second declares the metric sightd_queues_total with another type"):
        manager.open("second", CountingDifferently, PluginConfig(), cameras=1)
    assert Counting.closed == 1, "the one that was refused"
    manager.close()
