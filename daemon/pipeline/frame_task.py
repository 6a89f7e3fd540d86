"""A frame on its way through the plug-ins of its camera."""

from __future__ import annotations

import threading
from collections.abc import Callable

from sightd.plugins.types import Frame, Results


class FrameTask:
    """One frame in analysis. One worker owns it at a time; other threads only wait for it.

    `processed` holds the result types that plug-ins found on this very frame, as opposed to predicted ones. `watched`:
    somebody will see the frame; if not, plug-ins that only produce images are skipped.
    """

    __slots__ = ("_on_end", "_over", "complete", "frame", "processed", "results", "stage", "submitted_at", "watched")

    def __init__(self, frame: Frame, on_end: Callable[[FrameTask], None], *, watched: bool = True) -> None:
        self.frame = frame
        self.watched = watched
        self.results = Results()
        self.processed: set[type] = set()
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
