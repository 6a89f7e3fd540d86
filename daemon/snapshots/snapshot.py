"""A snapshot on its way from a frame to the files of its events."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from sightd.daemon.snapshots.drawing import Scene, SnapshotDrawing


class SnapshotObserver(Protocol):
    """Counts for a camera's metrics; called from any thread."""

    def written(self, size: int) -> None:
        """The snapshots of an event are on the disk, with `size` bytes."""
        ...

    def dropped(self, reason: str) -> None:
        """An event gets none; `reason` is one of `DROPS`."""
        ...


BUSY, DISK, REDACTION, FAILED = DROPS = ("busy", "disk", "redaction", "failed")
"""Why an event has no snapshots although it was selected: too much is waiting; the disk cannot be written; redaction
of its frame was not certain; drawing failed."""


class Memory:
    """Bytes that all snapshots in memory may take. Thread-safe."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self.used = 0

    def take(self, size: int) -> bool:
        """Reserves memory; returns False if there is not enough left. One that is larger than all of it is
        admitted if there is no other."""
        with self._lock:
            if self.used and self.used + size > self._most:
                return False
            self.used += size
            return True

    def give_back(self, size: int) -> None:
        with self._lock:
            self.used -= size


class Snapshot:
    """The snapshots of one frame, for one or more events, drawn once and only if somebody still holds them.

    `hold` and `release` count who needs them; the last `release` frees the memory. `save_for` names an event that gets
    them. Any thread; `draw` and `take_events` are called by the one that writes.
    """

    def __init__(
        self,
        camera: str,
        scene: Scene,
        drawing: SnapshotDrawing,
        observer: SnapshotObserver,
        memory: Memory,
        submit: Callable[[Snapshot], None],
    ) -> None:
        """Takes over `scene.nbytes` that were reserved of `memory`, and one hold. `submit` gives it to the thread that
        writes."""
        self.camera, self.observer = camera, observer
        self._scene: Scene | None = scene
        self._drawing, self._memory, self._submit = drawing, memory, submit
        self._size = scene.nbytes
        self._jpegs: tuple[bytes, bytes] | None = None
        self._lock = threading.Lock()
        self._holds = 1
        self._events: list[tuple[int, float]] = []

    def hold(self) -> Snapshot:
        with self._lock:
            self._holds += 1
        return self

    def release(self) -> None:
        with self._lock:
            self._holds -= 1
            if self._holds:
                return
            self._scene = self._jpegs = None
            size, self._size = self._size, 0
        self._memory.give_back(size)

    def save_for(self, event: int, at: float) -> None:
        """Has it written for an event that happened at `at` (s since the epoch); passes on one hold."""
        with self._lock:
            self._events.append((event, at))
        self._submit(self)

    def take_events(self) -> list[tuple[int, float]]:
        """Returns the events for which it is to be written now; each has a hold."""
        with self._lock:
            events, self._events = self._events, []
        return events

    def draw(self) -> tuple[bytes, bytes] | None:
        """Returns the annotated and the clean JPEG file, drawn at the first call; None if that failed or nobody needs
        them. Raises what drawing raises, once."""
        with self._lock:
            scene, self._scene = self._scene, None
        if scene is None:
            return self._jpegs
        drawn: tuple[bytes, bytes] | None = None
        try:
            drawn = self._drawing.jpegs(scene)
        finally:
            size = 0 if drawn is None else sum(map(len, drawn))
            with self._lock:
                if self._holds:
                    self._jpegs = drawn
                    saved, self._size = self._size - size, size
                else:
                    saved = 0
            self._memory.give_back(saved)
        return drawn


class EventSnapshot:
    """The snapshot of an event that the journal has not stored yet: exactly one of both is called, from any thread."""

    def __init__(self, snapshot: Snapshot, at: float, settled: Callable[[int | None], None]) -> None:
        """Takes over one hold. `settled` is called with the event's id, or None if it is lost."""
        self._snapshot, self._at, self._settled = snapshot, at, settled

    def stored(self, event: int) -> None:
        """The event has this id."""
        self._settled(event)
        self._snapshot.save_for(event, self._at)

    def lost(self) -> None:
        """The event was not stored."""
        self._settled(None)
        self._snapshot.release()
