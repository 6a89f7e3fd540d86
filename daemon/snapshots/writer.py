"""Draws and writes snapshots in a thread of its own, so that nobody waits for it; keeps a bounded number in memory."""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from sightd.daemon.common.process import lower_thread_priority
from sightd.daemon.common.redaction import redact
from sightd.daemon.config.snapshots import Snapshots
from sightd.daemon.events.event import Event
from sightd.daemon.snapshots.drawing import Scene, SnapshotDrawing
from sightd.daemon.snapshots.snapshot import (
    BUSY,
    DISK,
    FAILED,
    EventSnapshot,
    Memory,
    Snapshot,
    SnapshotObserver,
)
from sightd.daemon.snapshots.store import SnapshotStore, StoreObserver, find_snapshot
from sightd.engines.log_throttle import LogThrottle

log = logging.getLogger(__name__)

_STEP = 0.05
"""Seconds between two looks for a snapshot."""

MOST_MEMORY = 128 * 2**20
"""Bytes of all snapshots in memory: frames that wait, and drawn ones whose events are not stored or not over yet. Also
of one larger frame, if it is the only one."""
_CHECK_EVERY = 5.0
"""Seconds between two checks of the disk and the limits."""
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


class SnapshotWriter:
    """Draws snapshots and writes them for their events. Any thread; `close` is idempotent.

    If the folder cannot be used, `fault` says why, no snapshots are taken, and it is checked again until it can.
    """

    def __init__(
        self,
        folder: Path,
        options: Snapshots,
        observer: StoreObserver,
        *,
        most_memory: int = MOST_MEMORY,
        open_store: Callable[[Path, Snapshots, StoreObserver], SnapshotStore] = SnapshotStore,
    ) -> None:
        self.folder, self.options = folder, options
        self._observer, self._open_store = observer, open_store
        self._memory = Memory(most_memory)
        self._changed = threading.Condition()
        self._waiting: deque[Snapshot] = deque()
        self._pending: set[int] = set()
        self._unstored = self._last_stored = 0
        self._ending = False
        self._store: SnapshotStore | None = None
        self._fault: str | None = None
        self._checked_at = float("-inf")
        self._throttle = LogThrottle()
        self._thread = threading.Thread(target=self._run, name="snapshots", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def fault(self) -> str | None:
        """Why no snapshots can be kept now."""
        return None if self._fault is None else f"snapshots cannot be kept: {self._fault}"

    @property
    def used(self) -> int:
        """Bytes of all snapshots in memory."""
        return self._memory.used

    @property
    def size(self) -> int:
        """Bytes of all snapshots on the disk."""
        return 0 if self._store is None else self._store.size

    @property
    def shortage(self) -> str | None:
        """Says that snapshots were deleted before their time in the last minutes, because the disk is nearly full."""
        return None if self._store is None else self._store.shortage

    def take(self, camera: str, scene: Scene, drawing: SnapshotDrawing, observer: SnapshotObserver) -> Snapshot | str:
        """Takes a snapshot, which the caller holds and must release; or returns why not: BUSY or DISK."""
        if self._fault is not None:
            return DISK
        if not self._memory.take(scene.nbytes):
            if self._throttle.add("busy"):
                log.warning("camera %s: no snapshot of an event, because too many wait", camera)
            return BUSY
        snapshot = Snapshot(camera, scene, drawing, observer, self._memory, self._submit)
        self._submit(snapshot)
        return snapshot

    def for_event(self, snapshot: Snapshot, at: float) -> EventSnapshot:
        """Returns what the journal tells the id of an event that happened at `at`; takes over one hold."""
        with self._changed:
            self._unstored += 1
        return EventSnapshot(snapshot, at, self._settled)

    def is_pending(self, event: int) -> bool:
        """Returns whether the snapshots of a stored event may be about to be written."""
        with self._changed:
            return event in self._pending or (self._unstored > 0 and event > self._last_stored)

    def find(self, event: Event, ending: str, within: float) -> Path | None:
        """Returns the file with a snapshot of a stored event, after up to `within` s if it is just being drawn; None if
        there is none, or not yet."""
        if event.camera is None:
            return None
        until = time.monotonic() + within
        while True:
            is_pending = self.is_pending(event.id)  # before the look: it may be finished between both
            if (path := find_snapshot(self.folder, event.camera, event.id, event.at, ending)) is not None:
                return path
            if not is_pending or time.monotonic() > until:
                return None
            time.sleep(_STEP)

    def close(self, deadline: float = 2.0) -> None:
        """Writes those whose events are stored, and ends the thread. Also works if it never started."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(deadline)
        if self._thread.is_alive():
            log.error("the disk of the snapshots did not respond within %.0f s: some were lost", deadline)

    def _settled(self, event: int | None) -> None:
        with self._changed:
            self._unstored -= 1
            if event is not None:
                self._pending.add(event)
                self._last_stored = event

    def _submit(self, snapshot: Snapshot) -> None:
        with self._changed:
            self._waiting.append(snapshot)
            self._changed.notify()

    def _run(self) -> None:
        lower_thread_priority()
        while True:
            if time.monotonic() - self._checked_at > _CHECK_EVERY:
                self._check()
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ending, _CHECK_EVERY)
                if not self._waiting and self._ending:
                    return
                snapshot = self._waiting.popleft() if self._waiting else None
            if snapshot is not None:
                self._finish(snapshot, self._drawn(snapshot))

    def _check(self) -> None:
        try:
            if self._store is None:
                self._store = self._open_store(self.folder, self.options, self._observer)
            self._store.check()
        except OSError as error:
            self._failed(error)
        else:
            self._fault = None
        self._checked_at = time.monotonic()

    def _failed(self, error: OSError) -> None:
        reason = error.strerror or str(error)
        hint = "this user needs write permission for the folder, and the disk needs free space"
        fault = f"{self.folder}: {reason}: {hint}"
        if fault != self._fault:
            log.error("snapshots cannot be kept: %s", fault)
        self._fault = fault

    def _drawn(self, snapshot: Snapshot) -> tuple[bytes, bytes] | None:
        try:
            return snapshot.draw()
        except Exception as error:  # the thread's boundary: one snapshot fails, the others are drawn
            if self._throttle.add("draw"):
                log.exception("camera %s: a snapshot could not be drawn: %s", snapshot.camera, redact(str(error)))
            return None

    def _finish(self, snapshot: Snapshot, jpegs: tuple[bytes, bytes] | None) -> None:
        for event, at in snapshot.take_events():
            if jpegs is None:
                snapshot.observer.dropped(FAILED)
            elif self._written(snapshot.camera, event, at, jpegs):
                snapshot.observer.written(sum(map(len, jpegs)))
            else:
                snapshot.observer.dropped(DISK)
            with self._changed:
                self._pending.discard(event)
            snapshot.release()

    def _written(self, camera: str, event: int, at: float, jpegs: tuple[bytes, bytes]) -> bool:
        while self._store is not None:
            try:
                self._store.add(camera, event, at, *jpegs)
            except OSError as error:
                if error.errno in _NO_ROOM and self._store.make_room():
                    continue
                self._failed(error)
                return False
            return True
        return False
