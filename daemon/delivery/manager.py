"""Runs the sinks of the configuration, and reports how they are doing."""

from __future__ import annotations

import logging
import re
import socket
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Literal

from sightd.daemon.common.process import Deadline
from sightd.daemon.config.delivery import Delivery
from sightd.daemon.config.diff import changed_sinks
from sightd.daemon.config.sinks import SinkOptions
from sightd.daemon.delivery.home_view import Home
from sightd.daemon.delivery.kinds import SinkContext, open_sink
from sightd.daemon.delivery.sink import Backoff
from sightd.daemon.delivery.store import (
    DeadLetter,
    SinkStore,
    dead_letters,
    delete_letters,
    known_sinks,
    mark_for_retry,
    store_path,
)
from sightd.daemon.delivery.worker import Policy, SinkWorker
from sightd.daemon.events.event import Event
from sightd.daemon.events.journal import Journal
from sightd.daemon.events.journal_reader import JournalError
from sightd.daemon.metrics.delivery import DeliveryMetrics

log = logging.getLogger(__name__)

STUCK_AFTER = 60.0
"""Seconds after which a sink that fails, or does not end an attempt, counts as stuck."""
_ABORTING = 0.5
"""Seconds at the end of `close` for calls that are aborted."""

SinkState = Literal["delivering", "retrying", "stuck"]


@dataclass(frozen=True, slots=True)
class SinkReport:
    """A sink. `pending` events of the journal are not yet delivered, or left out; `oldest` is the age in s of the one
    that is being sent. `dead` counts the dead letters, `lost` the events that the journal deleted before they were
    delivered; `fault` says why the last attempt failed, if no later one succeeded."""

    name: str
    type: str
    state: SinkState
    pending: int
    oldest: float | None
    dead: int
    lost: int
    fault: str | None


class EventDelivery:
    """Sends the journal's events to the configured sinks, each on its own thread. `apply` and `close` are called one
    after the other; all others from any thread."""

    def __init__(
        self,
        journal: Journal,
        environ: Mapping[str, str],
        metrics: DeliveryMetrics,
        home: Home | None = None,
        picture_of: Callable[[Event], Path | None] = lambda _event: None,
    ) -> None:
        """`home` is what Home Assistant gets to know and may change. `picture_of` returns the file with an event's
        annotated snapshot, None if there is none; called by the threads of sinks."""
        self._journal, self._environ, self._metrics = journal, environ, metrics
        self._home, self._picture_of = home, picture_of
        self._options = Delivery()
        self._workers: dict[str, SinkWorker] = {}
        self._leaving: dict[str, SinkWorker] = {}
        """Workers of removed sinks, which may still finish an event."""
        self._following = ExitStack()
        self._follows = False

    def apply(self, options: Delivery) -> None:
        """Starts, replaces and stops sinks so that they are those of `options`; never waits for one. A new sink begins
        with the next event, one that existed before continues after its last event."""
        changed = changed_sinks(self._options, options)
        self._options = options
        if options.sinks and not self._follows:
            self._following.enter_context(self._journal.followed(self._wake))
            self._follows = True
        for name in changed:
            if (worker := self._workers.pop(name, None)) is not None:
                worker.stop()
                self._leaving[name] = worker
                self._metrics.remove(name)
            if name in options.sinks:
                self._start(name, options.sinks[name])

    def reports(self) -> list[SinkReport]:
        """Returns the state of each sink, in the order of the configuration."""
        workers = dict(self._workers)
        return [self._report(workers[name], sink.type) for name, sink in self._options.sinks.items() if name in workers]

    def dead_letters(self, sink: str) -> list[DeadLetter]:
        """Returns the dead letters of a sink, oldest first. Raises KeyError if it has no file, StoreError."""
        return dead_letters(self._file_of(sink))

    def retry(self, sink: str, ids: Collection[int] | None) -> list[int]:
        """Has the dead letters of these events (None: all) sent again, before new events. Returns the events' ids.
        Raises like `dead_letters`."""
        marked = mark_for_retry(self._file_of(sink), ids)
        if (worker := self._workers.get(sink)) is not None:
            worker.wake()
        return marked

    def delete(self, sink: str, ids: Collection[int] | None) -> list[int]:
        """Deletes the dead letters of these events (None: all). Returns the events' ids. Raises like
        `dead_letters`."""
        deleted = delete_letters(self._file_of(sink), ids)
        if (worker := self._workers.get(sink)) is not None:
            worker.wake()
        return deleted

    def _file_of(self, sink: str) -> Path:
        if sink not in known_sinks(self._environ):
            raise KeyError(sink)
        return store_path(self._environ, sink)

    def close(self, deadline: float) -> None:
        """Sends what is left, as long as the sinks accept it, and ends all threads; abandons those that hang."""
        self._following.close()
        workers = [*self._workers.values(), *self._leaving.values()]
        for worker in self._workers.values():
            worker.stop(drain=True)
        time_left = Deadline(deadline)
        hanging = [one for one in workers if not one.join(time_left.within(deadline, keep=_ABORTING))]
        for worker in hanging:
            worker.abort()
        for worker in hanging:
            if not worker.join(time_left.within(_ABORTING)):
                log.warning("sink %s did not stop in time; its events are sent after the next start", worker.name)

    def _wake(self) -> None:
        for worker in list(self._workers.values()):
            worker.wake()

    def _start(self, name: str, options: SinkOptions) -> None:
        path = store_path(self._environ, name)
        worker = SinkWorker(
            name,
            open_sink(name, options, self._context()),
            self._journal.reader,
            partial(SinkStore, path, partial(self._first_position, self._journal.last_id)),
            Policy(partial(_wants, options), options.retry.attempts, options.max_dead_letters),
            Backoff(options.retry.initial_delay, options.retry.max_delay),
            self._metrics.sink(name, lambda: self._pending(worker), lambda: _age(worker) or 0.0),
            self._leaving.pop(name, None),
        )
        self._workers[name] = worker
        worker.start()

    def _context(self) -> SinkContext:
        return SinkContext(
            self._options.instance or instance_name(), self._options.public_url, self._picture_of, self._home
        )

    def _first_position(self, last_id: int | None) -> int:
        """Returns the position of a new sink: `last_id`, or, if the journal was not open when the sink was added, the
        end of earlier runs. Raises JournalError."""
        if last_id is None:
            self._journal.reader.last_id()  # waits until the journal is open
            last_id = self._journal.id_before
        if last_id is None:
            raise JournalError(f"the journal cannot be opened: {self._journal.fault}")
        return last_id

    def _pending(self, worker: SinkWorker) -> int:
        position, last_id = worker.progress.position, self._journal.last_id
        return 0 if position is None or last_id is None else max(0, last_id - position)

    def _report(self, worker: SinkWorker, kind: str) -> SinkReport:
        progress, now = worker.progress, time.monotonic()
        since = [at for at in (progress.failing_since, progress.sending_since) if at is not None]
        state: SinkState = "delivering" if progress.failing_since is None else "retrying"
        if since and now - min(since) > STUCK_AFTER:
            state = "stuck"
        return SinkReport(
            name=worker.name,
            type=kind,
            state=state,
            pending=self._pending(worker),
            oldest=_age(worker),
            dead=progress.dead,
            lost=progress.lost,
            fault=progress.fault,
        )


def _age(worker: SinkWorker) -> float | None:
    oldest = worker.progress.oldest
    return None if oldest is None else max(0.0, time.time() - oldest)


def _wants(options: SinkOptions, event: Event) -> bool:
    of_camera = options.cameras is None or event.camera in options.cameras
    of_rule = options.rules is None or not set(options.rules).isdisjoint(event.rules)
    return of_camera and of_rule and any(fnmatchcase(event.kind, pattern) for pattern in options.kinds)


def instance_name() -> str:
    """Returns a name made of the machine's host name."""
    return re.sub(r"[^a-z0-9_-]+", "-", socket.gethostname().lower()).strip("-_")[:63] or "sightd"
