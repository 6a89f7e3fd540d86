"""Writes visits to the gallery on a separate thread, so that no frame waits for the disk."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sightd.engines.log_throttle import LogThrottle
from sightd.plugins.api import FloatArray
from sightd.plugins.face.gallery.file import GalleryError
from sightd.plugins.face.gallery.gallery import Gallery
from sightd.plugins.face.gallery.sightings import Best, Sighting, Sightings, UnknownStore
from sightd.plugins.face.matching.calibration import Calibration
from sightd.plugins.storage.trusted_clock import TrustedClock

log = logging.getLogger(__name__)

_ROOM = 256
"""Most visits queued; further ones are logged and dropped."""
_TIDY_EVERY = 600.0
"""Seconds between two clean-ups of old data."""
_ENDS_WITHIN = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class Visit:
    """A face that was tracked for a while. `person` is the identified person's id, None for an unknown person.

    `mean` float32 [d] of unit length and `weight` describe its good samples. Times in seconds since the epoch.
    """

    camera: str
    first_seen: float
    last_seen: float
    person: int | None
    similarity: float
    margin: float
    reason: str
    mean: FloatArray
    weight: float
    best: Best
    noted: bool = False
    """Whether it was recorded earlier, still going on, as one of an unknown person; this replaces that record."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """What is kept about unknown persons and visits, and for how long (s)."""

    unknown: bool
    most_unknown: int
    retention: float


class VisitBook:
    """Accepts visits from any thread; `close` writes queued ones and is idempotent."""

    def __init__(
        self,
        gallery: Gallery,
        model: str,
        calibration: Calibration,
        keeping: Keeping,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """The caller closes the gallery, after the book. Preferably pass one that nobody else uses, because others
        would wait for writes. `clock` returns seconds since the epoch."""
        self._database = gallery.database
        self._store, self._sightings = UnknownStore(gallery, model), Sightings(gallery)
        self._calibration, self._keeping, self._clock = calibration, keeping, clock
        self._waiting: queue.Queue[Visit | None] = queue.Queue(_ROOM)
        self._tidied_at = float("-inf")
        self._throttle = LogThrottle()
        self._steady: TrustedClock | None = None
        self._ends_at: float | None = None
        self._thread = threading.Thread(target=self._write_all, name="faces:visits", daemon=True)
        self._thread.start()

    def note(self, visit: Visit) -> None:
        """Queues a visit. Never blocks; if the queue is full, the visit is dropped and a warning logged."""
        try:
            self._waiting.put_nowait(visit)
        except queue.Full:
            log.warning("visits arrive faster than they can be written: one was dropped")

    def close(self) -> None:
        if self._thread.is_alive():
            self._ends_at = time.monotonic() + _ENDS_WITHIN
            with contextlib.suppress(queue.Full):  # if the queue is full, no sentinel is needed
                self._waiting.put_nowait(None)
            self._thread.join(2 * _ENDS_WITHIN)

    def _write_all(self) -> None:
        """Runs the writer thread. On close, visits that are not written in time are counted in one log record."""
        while True:
            self._attempt(self._tidy, "old visits could not be deleted")
            try:
                visit = self._waiting.get(timeout=_TIDY_EVERY if self._ends_at is None else 0.0)
            except queue.Empty:
                if self._ends_at is None:
                    continue
                return
            if visit is None:
                return
            if self._ends_at is not None and time.monotonic() > self._ends_at:
                log.error("%d visits were lost: they could not be written in time", self._waiting.qsize() + 1)
                return
            self._attempt(partial(self._write, visit), "a visit could not be stored")

    def _attempt(self, work: Callable[[], None], told: str) -> None:
        try:
            self._database.recover()
            work()
        except GalleryError as error:
            if self._throttle.add():
                log.error("%s: %s", told, error)
        except Exception:  # top level of the thread: one item is lost, the next is tried
            log.exception("%s", told)

    def _write(self, visit: Visit) -> None:
        number = self._sightings.take_back(visit.camera, visit.first_seen) if visit.noted else None
        if visit.person is not None:
            if number is not None:
                self._store.forget_single(number)
            number = None
        elif not visit.noted:
            number = self._with_unknown(visit)
        if visit.person is None and number is None:
            return
        self._sightings.add(
            Sighting(
                visit.camera, visit.first_seen, visit.last_seen, visit.person, number, visit.similarity, visit.margin,
                visit.reason,
            )
        )  # fmt: skip

    def _with_unknown(self, visit: Visit) -> int | None:
        """Adds the visit to an unknown person and returns that person's number."""
        if not self._keeping.unknown:
            return None
        return self._store.with_visit(
            visit.mean, visit.weight, visit.last_seen, visit.best, self._calibration, self._keeping.most_unknown
        )

    def _tidy(self) -> None:
        """Deletes old data every `_TIDY_EVERY` seconds, and wipes deletions that could not be wiped before."""
        if time.monotonic() - self._tidied_at < _TIDY_EVERY:
            return
        self._tidied_at = time.monotonic()
        self._forget_old()
        if self._database.to_be_wiped:
            self._database.scrub()

    def _forget_old(self) -> None:
        self._steady = self._steady or TrustedClock(self._clock, last_seen=self._sightings.newest())
        if (now := self._steady.trusted()) is None:
            return
        oldest = now - self._keeping.retention
        if self._store.forget_before(oldest) | self._sightings.forget_before(oldest):
            self._database.settle()
