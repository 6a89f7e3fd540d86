"""Visits on their way to the gallery: written by a thread of their own, so that no frame waits for the disk."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sightd.plugins.face.calibration import Calibration
from sightd.plugins.face.gallery.errors import GalleryError
from sightd.plugins.face.gallery.gallery import Gallery
from sightd.plugins.face.gallery.sightings import Sighting, Sightings
from sightd.plugins.face.gallery.unknown_store import Best, UnknownStore
from sightd.plugins.steady import SteadyClock
from sightd.plugins.types import FloatArray

log = logging.getLogger(__name__)

_ROOM = 256
"""Visits that wait at most; more are told and let go."""
_TIDY_EVERY = 600.0
"""Seconds between two looks for what is too old."""
_ENDS_WITHIN = 5.0
_TELL_EVERY = 10.0
"""Seconds between two log records of what cannot be written."""


@dataclass(frozen=True, slots=True, eq=False)
class Visit:
    """A face that was followed for a while. `person` is who it was taken for, None for an unknown person.

    `mean` float32 [d] of length 1 and `weight` are of its good looks. Times in seconds since the epoch.
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
    """While it went on already, as one of an unknown person; what is said now takes that's place."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """What is kept of unknown persons and of visits, and for how long (s)."""

    unknown: bool
    most_unknown: int
    retention: float


class VisitBook:
    """Takes visits from any thread; `close` writes what waits, twice is safe."""

    def __init__(
        self,
        gallery: Gallery,
        model: str,
        calibration: Calibration,
        keeping: Keeping,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """The gallery stays the caller's and is closed later; best one that nobody else uses, who would wait for what
        is written. `clock` gives seconds since the epoch."""
        self._database = gallery.database
        self._store, self._sightings = UnknownStore(gallery, model), Sightings(gallery)
        self._calibration, self._keeping, self._clock = calibration, keeping, clock
        self._waiting: queue.Queue[Visit | None] = queue.Queue(_ROOM)
        self._tidied_at = self._told_at = float("-inf")
        self._steady: SteadyClock | None = None
        self._ends_at: float | None = None
        self._thread = threading.Thread(target=self._write_all, name="faces:visits", daemon=True)
        self._thread.start()

    def note(self, visit: Visit) -> None:
        """Never waits."""
        try:
            self._waiting.put_nowait(visit)
        except queue.Full:
            log.warning("visits come faster than the disk takes them: one is not kept")

    def close(self) -> None:
        if self._thread.is_alive():
            self._ends_at = time.monotonic() + _ENDS_WITHIN
            with contextlib.suppress(queue.Full):  # then it does not wait for one
                self._waiting.put_nowait(None)
            self._thread.join(2 * _ENDS_WITHIN)

    def _write_all(self) -> None:
        """The thread. What does not get written in time at the end is told of once."""
        while True:
            self._attempt(self._tidy, "what is too old could not be deleted")
            try:
                visit = self._waiting.get(timeout=_TIDY_EVERY if self._ends_at is None else 0.0)
            except queue.Empty:
                if self._ends_at is None:
                    continue
                return
            if visit is None:
                return
            if self._ends_at is not None and time.monotonic() > self._ends_at:
                log.error("visits could not be kept: %d were not written in time", self._waiting.qsize() + 1)
                return
            self._attempt(partial(self._write, visit), "a visit could not be kept")

    def _attempt(self, work: Callable[[], None], told: str) -> None:
        try:
            self._database.mend()
            work()
        except GalleryError as error:
            if time.monotonic() - self._told_at >= _TELL_EVERY:
                self._told_at = time.monotonic()
                log.error("%s: %s", told, error)
        except Exception:  # the thread's edge: one thing is lost, the next is tried
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
        """The number of the unknown person that the visit is of."""
        if not self._keeping.unknown:
            return None
        return self._store.with_visit(
            visit.mean, visit.weight, visit.last_seen, visit.best, self._calibration, self._keeping.most_unknown
        )

    def _tidy(self) -> None:
        """Now and then: deletes what is too old, and wipes what somebody could not."""
        if time.monotonic() - self._tidied_at < _TIDY_EVERY:
            return
        self._tidied_at = time.monotonic()
        self._forget_old()
        if self._database.to_be_wiped:
            self._database.scrub()

    def _forget_old(self) -> None:
        self._steady = self._steady or SteadyClock(self._clock, last_seen=self._sightings.newest())
        if (now := self._steady.trusted()) is None:
            return
        oldest = now - self._keeping.retention
        if self._store.forget_before(oldest) | self._sightings.forget_before(oldest):
            self._database.settle()
