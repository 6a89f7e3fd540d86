"""Delivers the journal's events to one sink, in order, on a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from sightd.daemon.common.process import DELIVERY_NICENESS, raise_niceness
from sightd.daemon.delivery.sink import Backoff, PipelinedSink, RefusedError, Sink, UnavailableError
from sightd.daemon.delivery.store import DeadLetter, SinkStore, StoreError
from sightd.daemon.events.event import Event, event_of
from sightd.daemon.events.journal_reader import JournalError, JournalReader

log = logging.getLogger(__name__)

Outcome = Literal["delivered", "filtered", "dead", "lost"]
_BATCH = 100


class DeliveryObserver(Protocol):
    """Counts what becomes of events; called on the worker's thread."""

    def counted(self, outcome: Outcome, count: int = 1) -> None: ...


@dataclass(frozen=True, slots=True)
class Policy:
    """What a worker sends, and what it does with events that the sink refuses."""

    wants: Callable[[Event], bool]
    attempts: int
    max_dead_letters: int


@dataclass(frozen=True, slots=True)
class Progress:
    """What a worker is doing. `failing_since` (monotonic s) and `fault` are None while the sink accepts events;
    `oldest` is when the event that it is sending happened, in s since the epoch, and `sending_since` (monotonic s) when
    this attempt began."""

    position: int | None = None
    dead: int = 0
    lost: int = 0
    oldest: float | None = None
    sending_since: float | None = None
    failing_since: float | None = None
    fault: str | None = None


class SinkWorker:
    """Sends what the journal has after the stored position, at least once and in order.

    A failed attempt is repeated after a random delay that grows; nothing behind it is sent before. An event that the
    sink refuses again and again becomes a dead letter. Waits for the disk, the network and the sink on its own thread
    only. `wake`, `stop` and `progress` may be called from any thread and never wait.
    """

    def __init__(
        self,
        name: str,
        sink: Sink,
        reader: JournalReader,
        open_store: Callable[[], SinkStore],
        policy: Policy,
        backoff: Backoff,
        observer: DeliveryObserver,
        earlier: SinkWorker | None = None,
    ) -> None:
        """`earlier` used the same store until now and was stopped: this one begins when it has ended."""
        self.name = name
        self.progress = Progress()
        self._sink, self._reader, self._open_store, self._policy = sink, reader, open_store, policy
        self._backoff, self._observer, self._earlier = backoff, observer, earlier
        self._changed = threading.Condition()
        self._woken = self._draining = self._stopped = False
        self._store: SinkStore | None = None
        self._refusals = 0
        self._window = sink.window if isinstance(sink, PipelinedSink) else 1
        self._ahead: set[int] = set()
        """Events that were acknowledged although an earlier one was not; they are not sent again."""
        self._thread = threading.Thread(target=self._run, name=f"sink-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """There may be new events."""
        with self._changed:
            self._woken = True
            self._changed.notify()

    def stop(self, *, drain: bool = False) -> None:
        """Makes the worker end: after the current event, or (`drain`) when the sink has everything or an attempt
        fails."""
        with self._changed:
            self._draining = True
            self._stopped |= not drain
            self._changed.notify()

    def join(self, deadline: float) -> bool:
        """Waits up to `deadline` s for a stopped worker. Returns whether it has ended."""
        self._thread.join(deadline)
        return not self._thread.is_alive()

    def abort(self) -> None:
        """Stops the worker, even during a call."""
        self.stop()
        self._sink.abort()

    def _run(self) -> None:
        raise_niceness(DELIVERY_NICENESS)
        if self._earlier is not None:
            self._earlier._thread.join()
            self._earlier = None
        try:
            while not self._stopped and self._round():
                pass
        finally:
            self._sink.close()
            if self._store is not None:
                self._store.close()

    def _round(self) -> bool:
        """Sends a batch, or waits for something to send. Returns whether to go on."""
        try:
            sent = self._send_batch()
        except UnavailableError as error:
            return self._failed(str(error), error.retry_after)
        except (RefusedError, StoreError, JournalError) as error:
            return self._failed(str(error))
        except Exception as error:  # the thread's boundary: one attempt fails, the next is made
            log.exception("error in the delivery to sink %s", self.name)
            return self._failed(f"{type(error).__name__}: {error}")
        self._recovered()
        return sent or self._rest()

    def _send_batch(self) -> bool:
        """Returns whether there was anything to send."""
        store = self._opened()
        store.save()
        if (letter := store.next_retry()) is not None:
            self._resend(store, letter)
            return True
        events = self._reader.after(store.position, _BATCH)
        if not events:
            self._report(dead=store.dead())
            self._sink.keep_alive()
            return self._begin_replaced_journal(store)
        while events and not self._stopped:
            run = self._run_of(events)
            self._send_run(store, run)
            del events[: len(run)]
        return True

    def _run_of(self, events: list[Event]) -> list[Event]:
        """Returns the first events that can be sent at once, with unwanted ones between them. After a refusal that is
        one event, so that no later one overtakes it again."""
        most = 1 if self._refusals else self._window
        wanted = 0
        for number, event in enumerate(events):
            wanted += self._policy.wants(event) and event.id not in self._ahead
            if wanted > most:
                return events[:number]
        return events

    def _send_run(self, store: SinkStore, run: Sequence[Event]) -> None:
        waiting = deque(run)
        wanted = [event for event in run if self._policy.wants(event) and event.id not in self._ahead]

        def acknowledged(ids: Collection[int]) -> None:
            self._ahead.update(ids)
            self._advance(store, waiting)

        self._advance(store, waiting)
        if not wanted:
            return
        reason = self._attempt(wanted, acknowledged)
        if reason is None:
            self._settle()
        else:
            refused = waiting.popleft()
            self._bury(store, refused, reason)
            self._advance(store, waiting)

    def _advance(self, store: SinkStore, waiting: deque[Event]) -> None:
        """Moves the position over the first events of `waiting`, as far as they are acknowledged or not wanted."""
        while waiting:
            event = waiting[0]
            if missing := event.id - store.position - 1:
                self._lose(store, missing, event.id - 1)
            if event.id in self._ahead:
                self._ahead.remove(event.id)
                self._observer.counted("delivered")
                self._report(sending_since=time.monotonic())
            elif not self._policy.wants(event):
                self._observer.counted("filtered")
            else:
                self._report(oldest=event.at)
                break
            waiting.popleft()
            store.position = event.id
        self._report(position=store.position)
        store.save()

    def _attempt(self, events: Sequence[Event], acknowledged: Callable[[Collection[int]], None]) -> str | None:
        """Sends events once. Returns None if all were acknowledged, or why the first of those that were not is to be
        given up. Raises UnavailableError, or RefusedError if it is to be tried again."""
        self._report(oldest=events[0].at, sending_since=time.monotonic())
        try:
            if isinstance(self._sink, PipelinedSink):
                self._sink.send_many(events, acknowledged)
            else:
                self._sink.send(events[0])
                acknowledged([events[0].id])
        except RefusedError as error:
            self._refusals += 1
            if self._refusals < self._policy.attempts:
                raise
            return str(error)
        return None

    def _resend(self, store: SinkStore, letter: DeadLetter) -> None:
        """Sends a dead letter again, before any new event."""
        event = event_of(letter.event)
        reason = self._attempt([event], lambda _ids: None)
        if reason is None:
            self._observer.counted("delivered")
            store.remove(letter)
        else:
            log.warning("sink %s refused event %d again: %s", self.name, event.id, reason)
            store.keep(letter, reason)
        self._report(dead=store.dead())
        self._settle()

    def _opened(self) -> SinkStore:
        if self._store is None:
            self._store = self._open_store()
            self._report(position=self._store.position, lost=self._store.lost, dead=self._store.dead())
        return self._store

    def _bury(self, store: SinkStore, event: Event, reason: str) -> None:
        deleted = store.bury(event, reason, self._policy.max_dead_letters)
        log.warning(
            "sink %s refused event %d (%s) %d times, now a dead letter: %s",
            self.name, event.id, event.kind, self._refusals, reason,
        )  # fmt: skip
        if deleted:
            log.warning("sink %s: %d old dead letters were deleted", self.name, deleted)
        self._observer.counted("dead")
        self._report(dead=store.dead())
        self._settle()

    def _settle(self) -> None:
        """The first event of the queue is done."""
        self._refusals = 0
        self._report(oldest=None, sending_since=None)
        self._recovered()

    def _lose(self, store: SinkStore, count: int, position: int) -> None:
        log.error(
            "sink %s: the journal deleted %d events before they were delivered; raise events.max_count or "
            "events.retention", self.name, count,
        )  # fmt: skip
        self._observer.counted("lost", count)
        store.position, store.lost = position, store.lost + count
        store.save()
        self._report(lost=store.lost)

    def _begin_replaced_journal(self, store: SinkStore) -> bool:
        """If the journal's ids are below the position, it is a new file: nothing of it was sent. Returns whether so."""
        if self._reader.last_id() >= store.position:
            return False
        log.warning("sink %s: the journal was replaced; sending all of its events", self.name)
        store.position = 0
        store.save()
        self._ahead.clear()
        return True

    def _failed(self, fault: str, at_least: float = 0.0) -> bool:
        """Waits before the next attempt, for `at_least` seconds. Returns whether to make one."""
        if self.progress.failing_since is None:
            log.warning("sink %s: delivery is interrupted, the journal keeps the events: %s", self.name, fault)
            self._report(failing_since=time.monotonic())
        self._report(fault=fault, sending_since=None)
        delay = max(at_least, self._backoff.next())
        with self._changed:
            self._changed.wait_for(lambda: self._draining, delay)
            return not self._draining

    def _recovered(self) -> None:
        self._backoff.reset()
        if (since := self.progress.failing_since) is not None:
            log.info("sink %s: delivery continues after %.0f s", self.name, time.monotonic() - since)
            self._report(failing_since=None, fault=None)

    def _rest(self) -> bool:
        """Waits for new events. Returns whether to go on."""
        with self._changed:
            self._changed.wait_for(lambda: self._woken or self._draining, self._sink.idle_interval)
            woken, self._woken = self._woken, False
            return woken or not self._draining

    def _report(self, **changed: object) -> None:
        self.progress = replace(self.progress, **changed)  # type: ignore[arg-type]
