"""A camera's output: takes the newest frame, has it analysed, draws what is known of it, shows it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping

from prometheus_client import Histogram

from daemon.capture.slot import FrameSlot
from daemon.metrics.camera import CameraMetrics
from daemon.pipeline.line import Line
from daemon.pipeline.patience import Patience
from daemon.pipeline.publisher import Publisher
from daemon.render.renderer import Renderer
from daemon.render.slate import slate
from plugins.types import Frame, Image, Results

log = logging.getLogger(__name__)

SLATE_AFTER = 1.5
"""Seconds after the last frame at which the picture turns to the slate."""
SLATE_INTERVAL = 0.2
FIRST_SHAPE: tuple[int, ...] = (720, 1280)
"""Height and width of the picture before a camera has told its own."""


class CameraOutput:
    """One thread a camera, so that its frames leave in the order in which they came.

    Each frame is offered to the plug-ins and shown: with their findings where those come in time (see Patience), else
    with their prediction. While nobody watches, frames are only offered. When no frame comes the slate is shown.
    """

    def __init__(
        self,
        camera: str,
        title: str,
        slot: FrameSlot,
        line: Line,
        renderer: Renderer,
        publisher: Publisher,
        metrics: CameraMetrics,
        stages: Mapping[str, Histogram],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.camera = camera
        self.slate_active = False
        self._title = title
        self._slot = slot
        self._line = line
        self._renderer = renderer
        self._publisher = publisher
        self._metrics = metrics
        self._stages = stages
        self._clock = clock
        self._patience = Patience(always=line.replaces_picture)
        self._last: Frame | None = None
        self._shape = FIRST_SHAPE
        self._slate: Image | None = None
        self._last_at = clock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"output:{camera}", daemon=True)

    @property
    def progress_at(self) -> float:
        """Monotonic time of the last turn of the loop: it turns at least every second."""
        return self._progress_at

    def start(self) -> None:
        self._progress_at = self._clock()
        self._thread.start()

    def stop(self, deadline: float) -> bool:
        """Ends the thread; False where it has not ended `deadline` seconds later."""
        self._stop.set()
        self._slot.close()
        self._thread.join(deadline)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._progress_at = self._clock()
                frame = self._slot.take(SLATE_INTERVAL)
                if frame is not None:
                    self._turn(frame)
                elif not self._stop.is_set():
                    self._nothing_came()
        except Exception:  # the thread's edge: the log must tell why the picture stopped
            log.exception("output of camera %s failed", self.camera)
            raise
        finally:
            self._publisher.rest()

    def _turn(self, frame: Frame) -> None:
        self._note_arrival(frame)
        ticket = self._line.offer(frame)
        if not self._publisher.wanted:
            self._publisher.rest()
            return
        complete = ticket is not None and self._waited(ticket.wait)
        begun = self._clock()
        results = ticket.results if ticket is not None and complete else self._line.carried(frame)
        self._show(frame, results)
        self._patience.saw_output(self._clock() - begun)

    def _waited(self, wait: Callable[[float], bool]) -> bool:
        patience = self._patience.decide(self._line.expected)
        begun = self._clock()
        complete = wait(patience)
        if patience > 0:
            self._stages["wait"].observe(self._clock() - begun)
        return complete

    def _show(self, frame: Frame, results: Results) -> None:
        begun = self._clock()
        canvas = self._renderer.render(frame, results, fps=self._fps)
        self._line.draw(canvas, frame, results)
        self._stages["render"].observe(self._clock() - begun)
        self._shape = canvas.image.shape
        self._publisher.publish(canvas.image, frame.captured_at, self._fps)
        self._metrics.frames["shown"].inc()

    def _note_arrival(self, frame: Frame) -> None:
        if self._last is not None:
            if (self._last.width, self._last.height) == (frame.width, frame.height):
                self._patience.saw_frame(frame.captured_at - self._last.captured_at)
            else:
                log.info("camera %s now sends %d×%d", self.camera, frame.width, frame.height)
                self._line.forget_past()
        self._last = frame
        self._last_at = self._clock()
        self._turn_slate(False)

    def _nothing_came(self) -> None:
        if self._clock() - self._last_at < SLATE_AFTER:
            return
        self._turn_slate(True)
        if not self._publisher.wanted:
            self._publisher.rest()
            return
        if self._slate is None:
            self._slate = self._draw_slate()
        self._publisher.publish(self._slate, self._clock(), 1 / SLATE_INTERVAL)

    def _draw_slate(self) -> Image:
        height, width = self._shape[:2]
        if self._last is None:
            return slate(None, (width, height), self._title, None)
        return slate(self._last.host(), (width, height), self._title, self._last.wall_time)

    def _turn_slate(self, active: bool) -> None:
        if active is not self.slate_active:
            self.slate_active = active
            self._slate = None
            self._metrics.slate_active.set(active)

    @property
    def _fps(self) -> float:
        return 1 / self._patience.interval if self._patience.interval else 25.0
