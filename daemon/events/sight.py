"""A camera's picture turns to the slate and back: the one place by which metric and event go."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from daemon.capture.errors import Reason
from daemon.events.event import Kind, utc
from daemon.events.journal import Journal
from daemon.metrics.camera import CameraMetrics


class Sight:
    """Whether a camera is seen. An outage that ends before the slate comes is none."""

    def __init__(
        self, camera: str, metrics: CameraMetrics, journal: Journal, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._camera, self._metrics, self._journal, self._clock = camera, metrics, journal, clock
        self._lock = threading.Lock()
        self._reason: Reason | None = None
        self._gone_since: float | None = None

    def fault(self, reason: Reason) -> None:
        """Why the camera was lost, or not got, of late. From the feed's thread."""
        with self._lock:
            self._reason = reason

    def connected(self) -> None:
        """Frames come again, be it before the slate: what was wrong until now is over. From the feed's thread."""
        with self._lock:
            self._reason = None

    def lost(self, why: str | None, last_picture: float | None, ago: float) -> None:
        """See `daemon.pipeline.output.Sighted`."""
        self._metrics.up.set(0)
        with self._lock:
            reason = why or str(self._reason or "silent")
        self._gone_since = self._clock() - ago
        when = None if last_picture is None else utc(last_picture)
        self._journal.note(Kind.CAMERA_DOWN, camera=self._camera, reason=reason, last_picture=when)

    def found(self) -> None:
        """Its picture is live from now on."""
        self._metrics.up.set(1)
        away = None if self._gone_since is None else round(self._clock() - self._gone_since, 3)
        self._journal.note(Kind.CAMERA_UP, camera=self._camera, away=away)
