"""A journal and the sinks that get its events, in a folder of their own."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from sightd.daemon.config.delivery import Delivery
from sightd.daemon.delivery.manager import EventDelivery, SinkReport
from sightd.daemon.delivery.store import DeadLetter, dead_letters, store_path
from sightd.daemon.events.event import EventKind, PendingEvent
from sightd.daemon.events.journal import Journal
from sightd.daemon.metrics.registry import Metrics
from tests.support.exposition import total
from tests.support.waiting import eventually

QUICK = {"initial_delay": "10ms", "max_delay": "50ms", "attempts": 2}


class DeliveryHarness:
    """What the daemon has of events. A context manager; entering it again is a restart."""

    def __init__(self, folder: Path, max_count: int = 1000) -> None:
        self.folder, self._max_count = folder, max_count

    def __enter__(self) -> DeliveryHarness:
        self.metrics = Metrics(CollectorRegistry(), "0", (), list(EventKind))
        self.journal = Journal(self.folder / "events.db", 86400.0, self._max_count, self.metrics.events)
        self.delivery = EventDelivery(self.journal, {"SIGHTD_STATE_DIR": str(self.folder)}, self.metrics.delivery)
        self.journal.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.journal.close()
        self.delivery.close(5.0)

    def apply(self, **sinks: Mapping[str, Any]) -> None:
        """Sends to these sinks; returns when each of them has its position."""
        given = {name: {"retry": QUICK, "timeout": "5s", **options} for name, options in sinks.items()}
        self.delivery.apply(Delivery.model_validate({"instance": "yard", "sinks": given}))
        workers = self.delivery._workers.values()
        eventually(lambda: all(one.progress.position is not None for one in workers), what="positions")

    def note(
        self,
        count: int = 1,
        kind: EventKind = EventKind.CAMERA_LATE,
        camera: str = "gate",
        rules: tuple[str, ...] = (),
    ) -> list[int]:
        """Records events that `rules` selected, and returns their ids, once they are stored."""
        before = self.journal.reader.last_id() if self.journal.reader.path.exists() else 0
        for _ in range(count):
            self.journal.record(PendingEvent(kind, time.time(), camera, rules=rules))
        eventually(lambda: self.journal.last_id == before + count, what=f"{count} events are stored")
        return list(range(before + 1, before + count + 1))

    def report(self, name: str) -> SinkReport:
        return next(one for one in self.delivery.reports() if one.name == name)

    def settled(self, name: str) -> None:
        """Waits until the sink has nothing to do."""
        eventually(lambda: self.report(name).pending == 0, what=f"sink {name} is done")

    def count(self, name: str, outcome: str) -> float:
        text, _ = self.metrics.exposition()
        return total(text.decode(), "sightd_delivery_events_total", sink=name, outcome=outcome)

    def dead(self, name: str) -> list[DeadLetter]:
        return dead_letters(store_path({"SIGHTD_STATE_DIR": str(self.folder)}, name))
