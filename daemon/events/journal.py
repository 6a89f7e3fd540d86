"""Writes events to the journal in a thread of its own, so that nobody waits for the disk."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from sightd.daemon.common.redaction import redact
from sightd.daemon.events.event import EventKind, PendingEvent, describe
from sightd.daemon.events.journal_reader import JournalError, JournalReader
from sightd.daemon.events.store import EventStore
from sightd.engines.log_throttle import LogThrottle
from sightd.plugins.api import EventRef, Phase
from sightd.plugins.storage.trusted_clock import TrustedClock

log = logging.getLogger(__name__)

ROOM = 2000
"""Maximum events that wait for the disk; beyond that the oldest are lost, which is an event itself."""
_BATCH = 200
_RETRY = 1.0
"""Seconds between two attempts while the journal cannot be written."""
_TIDY_EVERY = 600.0
"""Seconds between two deletions of events that are too old."""
_BETWEEN_STEPS = 0.02
"""Seconds between two steps of an upgrade or a deletion, in which others get the disk."""
_OPENING = 5.0
"""Maximum seconds that a reader waits for the file to be opened, at start-up and after it was deleted."""


class JournalObserver(Protocol):
    """Counts events for metrics; called from any thread."""

    def noted(self, kind: str) -> None: ...

    def lost(self, count: int) -> None: ...

    def waiting(self, count: int) -> None: ...

    def writable(self, able: bool) -> None: ...


class Journal:
    """Records events from any thread; what is read, by `reader` or after a wake-up, is stored for good. `close` is
    idempotent.

    While the file cannot be opened or written, events wait in memory, `fault` says why, and writing is retried until it
    succeeds.
    """

    def __init__(
        self,
        path: Path,
        retention: float,
        max_count: int,
        observer: JournalObserver,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Deletes events older than `retention` s, and the oldest beyond `max_count`. `clock` returns seconds since the
        epoch."""
        self._begun = threading.Event()
        self.reader = JournalReader(path, self._require_file)
        self._retention, self._max_count, self._observer, self._clock = retention, max_count, observer, clock
        self._changed = threading.Condition()
        self._waiting: deque[PendingEvent] = deque()
        self._batch: list[PendingEvent] = []
        self._lost = self._last_id = 0
        self._id_before: int | None = None
        self._ending = False
        self._fault: str | None = None
        self._throttle = LogThrottle()
        self._store: EventStore | None = None
        self._steady: TrustedClock | None = None
        self._tidied_at = float("-inf")
        self._followers: list[Callable[[], None]] = []
        self._gets_clip: Callable[[PendingEvent], bool] = lambda _event: False
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)

    def start(self) -> None:
        """Starts writing, including what was noted before."""
        self._thread.start()

    def decide_clips(self, gets_clip: Callable[[PendingEvent], bool]) -> None:
        """Has `gets_clip` decide for each event from now on whether a clip of it is recorded. Any thread calls it."""
        self._gets_clip = gets_clip

    @property
    def fault(self) -> str | None:
        """Why events cannot be stored now, and how many wait; None if they can."""
        fault = self._fault
        return None if fault is None else f"{fault} ({self._count()} events are queued in memory)"

    @property
    def last_id(self) -> int | None:
        """Id of the last event stored; None until the file is open."""
        return None if self._id_before is None else self._last_id

    @property
    def id_before(self) -> int | None:
        """Id of the last event of earlier runs, 0 if there is none; None until the file is open."""
        return self._id_before

    def note(
        self,
        kind: EventKind,
        *,
        camera: str | None = None,
        plugin: str | None = None,
        phase: Phase = Phase.ONCE,
        about: EventRef | None = None,
        **facts: Any,
    ) -> EventRef:
        """Records that something happened now, and returns what names it in `about` later. Never waits for the disk."""
        pending = PendingEvent(kind, self._clock(), camera, plugin, facts, about, phase)
        self.record(pending)
        return EventRef(str(kind), pending.at, facts)

    def record(self, event: PendingEvent) -> None:
        """Records an event, without the secrets of addresses in its facts. Never waits for the disk."""
        about = event.about and replace(event.about, facts=_redacted(dict(event.about.facts)))
        clip = event.clip or self._gets_clip(event)
        pending = replace(event, facts=_redacted(dict(event.facts)), about=about, clip=clip)
        log.info("%s", describe(pending), extra={} if event.camera is None else {"camera": event.camera})
        self._observer.noted(event.kind)
        with self._changed:
            if len(self._waiting) >= ROOM:
                if (listener := self._waiting.popleft().listener) is not None:
                    listener.lost()
                self._lost += 1
                self._observer.lost(1)
            self._waiting.append(pending)
            self._changed.notify()

    @contextmanager
    def followed(self, wake: Callable[[], None]) -> Iterator[None]:
        """Calls `wake` on the journal's thread each time there is more to read; it must return at once."""
        with self._changed:
            self._followers.append(wake)
        try:
            yield
        finally:
            with self._changed:
                self._followers.remove(wake)

    def close(self, deadline: float = 3.0) -> None:
        """Writes the waiting events, if possible, and ends the thread. Also works if it never started."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        self._begun.set()
        if self._thread.is_alive():
            self._thread.join(deadline)
        if self._thread.is_alive():
            log.error("the journal disk did not respond within %.0f s: %d events were lost", deadline, self._count())

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._batch:
                    self._changed.wait_for(
                        lambda: self._waiting or self._ending or not self._begun.is_set(), self._pause()
                    )
                    self._take()
                ending = self._ending
            able = self._attempt()
            with self._changed:
                if ending and (not able or not (self._waiting or self._batch)):
                    break
                if not able:
                    self._changed.wait_for(lambda: self._ending, _RETRY)
        if count := self._count():
            log.error("%d events were lost: %s", count, self._fault)
        if self._store is not None:
            self._store.close()

    def _require_file(self) -> None:
        """Waits until the file was opened, or could not be; also if it was deleted since then. Any reader's thread."""
        if self._begun.is_set() and not self._ending and not self.reader.path.exists():
            with self._changed:
                self._begun.clear()
                self._changed.notify()
        self._begun.wait(_OPENING)

    def _pause(self) -> float:
        """Returns the seconds until there is work to do even if no event arrives."""
        if self._fault:
            return _RETRY
        if self._store is None:
            return 0.0
        return _BETWEEN_STEPS if self._store.upgrading else max(0.0, self._tidied_at + _TIDY_EVERY - time.monotonic())

    def _take(self) -> None:
        """Fills the next batch, which begins with a report of lost events, if any."""
        if self._lost:
            self._batch.append(PendingEvent(EventKind.EVENTS_LOST, self._clock(), facts={"count": self._lost}))
            self._lost = 0
        while self._waiting and len(self._batch) < _BATCH:
            self._batch.append(self._waiting.popleft())

    def _attempt(self) -> bool:
        """Writes the batch and deletes what is too old. Returns whether the journal can be written."""
        try:
            if self._store is not None and not self._store.is_in_place():
                log.warning("the journal file was removed or replaced; reopening %s", self.reader.path)
                self._store.close()
                self._store = None
            if self._store is None:
                self._store = EventStore(self.reader.path, self._last_id)
                if self._id_before is None:
                    self._last_id = self._id_before = self._store.last_id()
            if self._steady is None:  # before anything is written: our own events say nothing about the clock
                self._steady = TrustedClock(self._clock, last_seen=self._store.newest())
            if self._batch:
                stored = self._store.append(self._batch, self._max_count)
                self._last_id = stored[-1].id
                for pending, event in zip(self._batch, stored, strict=True):
                    if pending.listener is not None:
                        pending.listener.stored(event.id)
                self._batch.clear()
                self._wake()
            if self._store.upgrading:
                self._store.upgrade()
            else:
                self._tidy(self._store, self._steady)
        except JournalError as error:
            self._failed(str(error))
        except Exception as error:  # the thread's boundary: one attempt fails, the next is made
            log.exception("error in the journal")
            self._failed(f"{type(error).__name__}: {error}")
        else:
            if self._fault is not None:
                log.info("events are written again, including the queued ones")
            self._fault = None
            self._observer.writable(True)
        self._begun.set()
        self._observer.waiting(self._count())
        return self._fault is None

    def _failed(self, fault: str) -> None:
        self._fault = fault
        self._observer.writable(False)
        if self._store is not None:
            self._store.close()
            self._store = None
        if self._throttle.add():
            log.error("events cannot be written and are queued in memory: %s", fault)

    def _wake(self) -> None:
        with self._changed:
            followers = list(self._followers)
        for wake in followers:
            wake()

    def _tidy(self, store: EventStore, steady: TrustedClock) -> None:
        if time.monotonic() - self._tidied_at < _TIDY_EVERY:
            return
        now = steady.trusted()
        more = store.tidy(float("-inf") if now is None else now - self._retention, self._max_count)
        self._tidied_at = time.monotonic() - (_TIDY_EVERY - _BETWEEN_STEPS if more else 0.0)

    def _count(self) -> int:
        return len(self._waiting) + len(self._batch)


def _redacted(value: Any) -> Any:
    """Returns a value of an event's facts with the secrets in its texts redacted."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {name: _redacted(item) for name, item in value.items()}
    return [_redacted(item) for item in value] if isinstance(value, list) else value
