"""A camera's availability: the one place that reports its changes to metrics and journal."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from sightd.daemon.capture.errors import Reason
from sightd.daemon.events.event import EventKind, utc
from sightd.daemon.events.journal import Journal
from sightd.daemon.metrics.camera import CameraMetrics
from sightd.plugins.api import EventRef, Phase


@dataclass(slots=True)
class ReportedState:
    """What was last reported about a camera; `gone_since` and `late_since` are monotonic s, `down` and `late` the
    events that last. It outlives the camera's run, so that a camera that is reconfigured while it runs is reported
    again only if something is new."""

    seen: bool | None = None
    gone_since: float | None = None
    late_since: float | None = None
    down: EventRef | None = None
    late: EventRef | None = None

    def removed(self, camera: str, journal: Journal) -> None:
        """Ends what lasts, because the camera is not configured any more."""
        for kind, lasts in ((EventKind.CAMERA_DOWN, self.down), (EventKind.CAMERA_LATE, self.late)):
            if lasts is not None:
                journal.note(kind, camera=camera, phase=Phase.ENDED, about=lasts, reason="removed")
        self.down = self.late = None


class CameraAvailability:
    """Whether a camera is available. An outage that ends before the slate appears is not reported."""

    def __init__(
        self,
        camera: str,
        metrics: CameraMetrics,
        journal: Journal,
        reported: ReportedState,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._camera, self._metrics, self._journal, self._reported, self._clock = (
            camera,
            metrics,
            journal,
            reported,
            clock,
        )
        self._lock = threading.Lock()
        self._reason: Reason | None = None
        self._damaged = False

    @property
    def reason(self) -> Reason:
        """Why no frames arrive: the last fault; otherwise whether damaged frames arrive, or none. From any thread."""
        with self._lock:
            return self._reason or (Reason.DECODE if self._damaged else Reason.SILENT)

    def frame(self, *, damaged: bool) -> None:
        """Records a frame, intact or damaged. From the feed's thread."""
        self._damaged = damaged

    def fault(self, reason: Reason) -> None:
        """Records why the camera was lost, or could not be opened. From the feed's thread."""
        with self._lock:
            self._reason = reason

    def connected(self) -> None:
        """Clears the last fault, because frames arrive again, with or without a slate before. From the feed's
        thread."""
        with self._lock:
            self._reason = None

    def lost(self, why: str | None, last_picture: float | None, ago: float) -> None:
        """Reports that the slate is shown; see `daemon.pipeline.output.AvailabilityListener`."""
        self._metrics.up(False)
        reason = why or str(self.reason)
        if self._reported.seen is False:
            return
        self._reported.seen, self._reported.gone_since = False, self._clock() - ago
        when = None if last_picture is None else utc(last_picture)
        self._reported.down = self._journal.note(
            EventKind.CAMERA_DOWN, camera=self._camera, phase=Phase.BEGAN, reason=reason, last_picture=when
        )

    def found(self) -> None:
        """Reports that the camera's stream is live from now on."""
        self._metrics.up(True)
        if self._reported.seen:
            return
        gone_since = self._reported.gone_since
        self._reported.seen = True
        away = None if gone_since is None else round(self._clock() - gone_since, 3)
        down, self._reported.down = self._reported.down, None
        phase = Phase.ONCE if down is None else Phase.ENDED
        self._journal.note(EventKind.CAMERA_UP, camera=self._camera, phase=phase, about=down, away=away)

    def timeliness(self, age: float, *, late: bool) -> None:
        """Reports a frame that was `age` s old; `late`: the stream counts as late. From the feed's thread."""
        since = self._reported.late_since
        if late and since is None:
            self._reported.late_since = self._clock()
            self._reported.late = self._journal.note(
                EventKind.CAMERA_LATE, camera=self._camera, phase=Phase.BEGAN, age=round(age, 3)
            )
        elif not late and since is not None:
            began, self._reported.late, self._reported.late_since = self._reported.late, None, None
            lasted = round(self._clock() - since, 3)
            self._journal.note(
                EventKind.CAMERA_ON_TIME, camera=self._camera, phase=Phase.ENDED, about=began, late=lasted
            )
