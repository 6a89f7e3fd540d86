"""Visits on their way to the gallery: written by a thread of their own, so that no frame waits for the disk."""

from __future__ import annotations

import logging
import queue
import threading
from dataclasses import dataclass

from plugins.face.calibration import Calibration
from plugins.face.gallery.errors import GalleryError
from plugins.face.gallery.gallery import Gallery
from plugins.face.gallery.sightings import Sighting, Sightings
from plugins.face.gallery.unknown_store import Best, UnknownStore
from plugins.face.unknown import Unknowns
from plugins.types import FloatArray

log = logging.getLogger(__name__)

_ROOM = 256
"""Visits that wait at most; more are told and let go."""
_TIDY_EVERY = 600.0
"""Seconds between two looks for what is too old."""
_ENDS_WITHIN = 5.0


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


@dataclass(frozen=True, slots=True)
class Keeping:
    """What is kept of unknown persons and of visits, and for how long (s)."""

    unknown: bool
    most_unknown: int
    retention: float


class VisitBook:
    """Takes visits from any thread; `close` writes what waits, twice is safe."""

    def __init__(self, gallery: Gallery, model: str, calibration: Calibration, keeping: Keeping) -> None:
        """The gallery stays the caller's and is closed later."""
        self._store, self._sightings = UnknownStore(gallery, model), Sightings(gallery)
        self._calibration, self._keeping = calibration, keeping
        self._waiting: queue.Queue[Visit | None] = queue.Queue(_ROOM)
        self._tidied_at = float("-inf")
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
            self._waiting.put(None)
            self._thread.join(_ENDS_WITHIN)

    def _write_all(self) -> None:
        while (visit := self._waiting.get()) is not None:
            try:
                self._write(visit)
            except GalleryError as error:
                log.error("a visit could not be kept: %s", error)
            except Exception:  # the thread's edge: one visit is lost, the next is tried
                log.exception("a visit could not be kept")

    def _write(self, visit: Visit) -> None:
        self._tidy(visit.last_seen)
        number = None if visit.person is not None else self._with_unknown(visit)
        if visit.person is None and number is None:
            return
        self._sightings.add(
            Sighting(
                visit.camera, visit.first_seen, visit.last_seen, visit.person, number, visit.similarity, visit.margin,
                visit.reason,
            )
        )  # fmt: skip

    def _with_unknown(self, visit: Visit) -> int | None:
        """The number of the unknown person that the visit is of. Read anew each time: others name and forget them."""
        if not self._keeping.unknown:
            return None
        before: Unknowns = self._store.load()
        after, number = before.with_visit(
            visit.mean, visit.weight, visit.last_seen, self._calibration, self._keeping.most_unknown
        )
        self._store.save(before, after, number, visit.best)
        person = after.find(number)
        return None if person is None else person.number

    def _tidy(self, now: float) -> None:
        if now - self._tidied_at >= _TIDY_EVERY:
            self._tidied_at = now
            self._store.forget_before(now - self._keeping.retention)
            self._sightings.forget_before(now - self._keeping.retention)
