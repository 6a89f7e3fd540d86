"""Frames on their way through the plug-ins of their cameras, and the queue in which they wait for one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from sightd.plugins.api import Count, Event, Frame, GaugeValue, Results


class FrameTask:
    """One frame in analysis. One worker owns it at a time; other threads only wait for it.

    `processed` holds the result types that plug-ins found on this very frame, as opposed to predicted ones; `counts`
    are what these add to metrics, `gauges` the values of gauges by plug-in, and `events` what happened, with the name
    of the plug-in. `watched`: somebody will see the frame; if not, plug-ins that only produce images are skipped.
    """

    __slots__ = (
        "_on_end",
        "_over",
        "complete",
        "counts",
        "events",
        "frame",
        "gauges",
        "processed",
        "results",
        "stage",
        "submitted_at",
        "watched",
    )

    def __init__(self, frame: Frame, on_end: Callable[[FrameTask], None], *, watched: bool = True) -> None:
        self.frame = frame
        self.watched = watched
        self.results = Results()
        self.processed: set[type] = set()
        self.counts: dict[type, Sequence[Count]] = {}
        self.events: list[tuple[str, Event]] = []
        self.gauges: dict[str, Sequence[GaugeValue]] = {}
        self.stage = 0
        self.submitted_at = 0.0
        self.complete = False
        self._on_end = on_end
        self._over = threading.Event()

    def finish(self) -> None:
        """Marks the frame as done by all plug-ins: `results` are final and waiting threads continue."""
        self.complete = True
        try:
            self._on_end(self)
        finally:
            self._over.set()

    def supersede(self) -> None:
        """Releases waiting threads without results, because a newer frame replaced it before any plug-in began."""
        self._over.set()

    def wait(self, timeout: float) -> bool:
        """Waits until it is finished or superseded, at most `timeout` s; returns whether its results are complete."""
        self._over.wait(timeout)
        return self.complete


class FrameQueue:
    """A bounded FIFO queue of tasks keyed by camera.

    A camera's newer frame replaces its older one *and* keeps its position in the queue. So the number of cameras is the
    bound, no frame waits behind stale ones, and no camera starves.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, FrameTask] = {}
        self._changed = threading.Condition()
        self._closed = False

    def put(self, task: FrameTask) -> None:
        with self._changed:
            self._waiting[task.frame.camera] = task
            self._changed.notify()

    def replace(self, old: FrameTask, new: FrameTask) -> bool:
        """Puts `new` in the position of `old`. Returns False, and does nothing, if a worker has already taken `old`."""
        with self._changed:
            if self._waiting.get(old.frame.camera) is not old:
                return False
            self._waiting[old.frame.camera] = new
            return True

    def take(self, most: int, max_wait: float = 0.0) -> list[FrameTask]:
        """Takes up to `most` tasks of different cameras; blocks for the first, then up to `max_wait` s for more.

        Returns an empty list if the queue was closed.
        """
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if max_wait > 0:
                    self._changed.wait_for(lambda: len(self._waiting) >= most or self._closed, max_wait)
                if self._closed:
                    return []
                cameras = list(self._waiting)[:most]
                if cameras:  # otherwise another worker took them, or their camera was removed, during the wait
                    return [self._waiting.pop(camera) for camera in cameras]

    @property
    def is_ready(self) -> bool:
        """Whether tasks wait to be taken."""
        with self._changed:
            return bool(self._waiting) and not self._closed

    def take_ready(self, most: int) -> list[FrameTask]:
        """Takes up to `most` waiting tasks of different cameras, without blocking; none if the queue was closed."""
        with self._changed:
            cameras = [] if self._closed else list(self._waiting)[:most]
            return [self._waiting.pop(camera) for camera in cameras]

    def drain(self) -> list[FrameTask]:
        """Removes and returns all waiting tasks; the caller must pass them on."""
        with self._changed:
            left = list(self._waiting.values())
            self._waiting.clear()
        return left

    def discard(self, camera: str) -> None:
        """Removes and supersedes the waiting task of a removed camera."""
        with self._changed:
            task = self._waiting.pop(camera, None)
        if task is not None:
            task.supersede()

    def close(self) -> None:
        """Wakes all workers so that they end, and supersedes all waiting tasks."""
        with self._changed:
            self._closed = True
            left = list(self._waiting.values())
            self._waiting.clear()
            self._changed.notify_all()
        for task in left:
            task.supersede()

    def __len__(self) -> int:
        return len(self._waiting)
