"""After a reload replaces a plug-in, its metrics and events are those of the new instance."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry

from sightd.daemon.events.journal import Journal
from sightd.daemon.metrics.registry import Metrics
from sightd.daemon.pipeline.breaker import BreakerState
from sightd.daemon.pipeline.manager import PluginManager
from sightd.daemon.pipeline.plugin_observer import PluginObservation
from sightd.plugins.api import PluginConfig
from tests.daemon.pipeline.plugins import Finder
from tests.support.event_counts import EventCounts


def test_one_that_was_taken_out_and_is_replaced_is_told_to_run_again(tmp_path: Path) -> None:
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
    told = metrics.registry.get_sample_value
    assert told("sightd_plugin_breaker_state", {"plugin": "finder"}) == 0
    assert told("sightd_plugin_process_resident_bytes", {"plugin": "finder"}) is None, "it has no process of its own"
    observation.breaker(BreakerState.CLOSED)
    manager.close()
    journal.close()
    assert [event.kind for event in journal.reader.after(0, 10)] == ["plugin.down", "plugin.up"]
