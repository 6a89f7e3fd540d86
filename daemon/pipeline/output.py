"""A camera's output loop: takes the newest frame, has it analysed, draws the results and publishes it."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
from prometheus_client import Histogram

from sightd.daemon.capture.reasons import Reason
from sightd.daemon.capture.slot import FrameSlot
from sightd.daemon.common.redaction import redact
from sightd.daemon.metrics.camera import CameraMetrics
from sightd.daemon.pipeline.camera_pipeline import CameraPipeline
from sightd.daemon.pipeline.publisher import Publisher
from sightd.daemon.pipeline.wait_policy import WaitPolicy
from sightd.daemon.render.renderer import Renderer
from sightd.daemon.render.slate import SlateReason, SlateWords, slate
from sightd.engines.cuda.image import DeviceImage
from sightd.engines.errors import EngineError
from sightd.engines.log_throttle import LogThrottle
from sightd.plugins.api import Frame, Image, Results

log = logging.getLogger(__name__)

SLATE_AFTER = 1.3
"""Seconds without a frame after which the slate is shown; for a slow camera up to SLATE_AT_LAST, or to its
`longest_interval` if that is more."""
SLATE_AT_LAST = 5.0
SLATE_INTERVAL = 0.08
"""Seconds between two slate images: players examine about twenty before they show the first."""
FAULT_REMEMBERED = 5.0
"""Seconds for which an image that could not be shown is reported as `fault`."""
FIRST_SIZE = (1280, 720)
"""Width and height of the image until the camera's own size is known."""


class AvailabilityListener(Protocol):
    """Notified on the output's thread when the stream switches to the slate and back."""

    @property
    def reason(self) -> Reason:
        """Why no frame arrives at the moment."""

    def lost(self, why: str | None, last_picture: float | None, ago: float) -> None:
        """Called when the slate appears, `ago` s after the last frame, which was taken at `last_picture` (s since the
        epoch). If there never was one, that is None and `ago` counts from the start. `why`: "ended" or "failing", None
        if no frame arrives."""

    def found(self) -> None:
        """Called at the first live frame, at the start and after the slate."""


class CameraOutput:
    """One thread per camera, so that its frames leave in the order in which they arrived.

    Each frame is offered to the plug-ins and shown: with their results if these arrive in time (see WaitPolicy),
    otherwise with their predictions. While nobody watches, frames are only offered. If no frame arrives, the slate is
    shown.

    A frame that cannot be drawn or encoded is dropped, counted and reported as `fault`; the next one is tried with a
    new encoder. Only `stop` ends the thread.
    """

    def __init__(
        self,
        camera: str,
        title: str,
        slot: FrameSlot,
        pipeline: CameraPipeline,
        renderer: Renderer,
        publisher: Publisher,
        metrics: CameraMetrics,
        stages: Mapping[str, Histogram],
        availability: AvailabilityListener,
        clock: Callable[[], float] = time.monotonic,
        *,
        longest_interval: float = SLATE_AT_LAST,
    ) -> None:
        """`longest_interval`: longest normal interval between two frames in s, if the camera turns out to be slow."""
        self.camera = camera
        self.slate_active = False
        self.ended = False
        """Whether the camera is a recording that was played to its end; set by the owner of the feed."""
        self.late_by: float | None = None
        """How many s late the camera's frames arrive, or None if they are on time; set from the feed's thread."""
        self._title = title
        self._slot = slot
        self._pipeline = pipeline
        self._renderer = renderer
        self._publisher = publisher
        self._metrics = metrics
        self._stages = stages
        self._availability = availability
        self._seen: bool | None = None
        self._clock = clock
        self._wait_policy = WaitPolicy(always=pipeline.replaces_picture or pipeline.redacts)
        self._last: Frame | None = None
        self._shown: Frame | None = None
        self._unreached_since: float | None = None
        self._slate: Image | None = None
        self._slate_shows: SlateWords | None = None
        self._longest_interval = max(SLATE_AT_LAST, longest_interval)
        self._drawn_last: tuple[Frame, Image] | None = None
        """The newest frame and its image as shown, in the renderer's own buffer until it draws another."""
        self._last_at = self._shown_at = self._progress_at = clock()
        self._fault = ""
        self._failed_at = float("-inf")
        self._throttle = LogThrottle(clock)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"output:{camera}", daemon=True)

    @property
    def progress_at(self) -> float:
        """Monotonic time of the loop's last iteration; there is one at least every second."""
        return self._progress_at

    @property
    def fault(self) -> str | None:
        """Why an image could not be shown within the last 5 s, without secrets; None if all could."""
        return self._fault if self._clock() - self._failed_at < FAULT_REMEMBERED else None

    def start(self) -> None:
        self._progress_at = self._clock()
        self._thread.start()

    def camera_lost(self, wall_time: float) -> None:
        """Records when (s since the epoch) the camera was first lost or could not be opened. Thread: the feed's."""
        if self._unreached_since is None:
            self._unreached_since = wall_time

    def request_stop(self) -> None:
        """Asks the thread to end soon; does not wait."""
        self._stop.set()
        self._slot.close()

    def stop(self, deadline: float) -> bool:
        """Ends the thread; returns False if it still runs after `deadline` seconds. Also works if it was never
        started."""
        self.request_stop()
        if self._thread.ident is None:
            self._renderer.close()
        if self._thread.is_alive():
            self._thread.join(deadline)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._progress_at = self._clock()
            try:
                self._step()
            except Exception as error:  # noqa: BLE001 — top of the thread: one frame fails, the camera goes on
                self._failed(error)
        self._publisher.rest()
        self._renderer.close()

    def _step(self) -> None:
        frame = self._slot.take(SLATE_INTERVAL)
        if frame is not None:
            self._turn(frame)
        elif not self._stop.is_set():
            self._nothing_came()

    def _failed(self, error: Exception) -> None:
        self._publisher.rest()  # the encoder may be what failed: the next frame gets a new one
        self._metrics.dropped("output", "failed")
        self._fault = redact(f"a frame could not be shown: {type(error).__name__}: {error}")
        self._failed_at = now = self._clock()
        if self._throttle.add("output"):
            log.error("camera %s: %s; trying the next frame", self.camera, self._fault, exc_info=error)
        if now - self._shown_at >= SLATE_AFTER:  # viewers must not mistake the last image they got for a live one
            with contextlib.suppress(Exception):  # if a frame cannot be encoded, the slate may fail as well
                self._show_slate(failing=True)

    def _turn(self, frame: Frame) -> None:
        self._note_arrival(frame)
        task = self._pipeline.offer(frame, watched=self._publisher.wanted)
        if not self._publisher.wanted:
            self._publisher.rest()
            self._metrics.frames["unwatched"].inc()
            self._live(frame)
            return
        complete = task is not None and self._waited(task.wait)
        begun = self._clock()
        results = task.results if task is not None and complete else self._pipeline.predicted(frame)
        self._show(frame, results)
        self._live(frame)
        self._wait_policy.saw_output(self._clock() - begun)

    def _waited(self, wait: Callable[[float], bool]) -> bool:
        max_wait = self._wait_policy.decide(self._pipeline.expected)
        begun = self._clock()
        complete = wait(max_wait)
        if max_wait > 0:
            self._stages["wait"].observe(self._clock() - begun)
        return complete

    def _show(self, frame: Frame, results: Results) -> None:
        begun = self._clock()
        picture = self._drawn(frame, results)
        self._stages["render"].observe(self._clock() - begun)
        self._publisher.publish(picture, frame.captured_at, self._fps)
        self._metrics.frames["shown"].inc()

    def _drawn(self, frame: Frame, results: Results) -> Image | DeviceImage:
        """Returns the image to show. If the GPU that holds the frame cannot draw on it, the CPU does; that is
        logged."""
        if self._pipeline.redacts:  # fail closed: never show a frame that was not redacted
            results = results.redacted(frame)
        try:
            return self._drawn_by(frame, results, on_host=False)
        except EngineError as error:
            if not self._renderer.draws_on_gpu:
                raise
            if self._throttle.add("gpu"):
                log.warning("camera %s: drawing on the CPU because the GPU cannot: %s", self.camera, error)
            return self._drawn_by(frame, results, on_host=True)

    def _drawn_by(self, frame: Frame, results: Results, *, on_host: bool) -> Image | DeviceImage:
        self._drawn_last = None  # shares the renderer's buffer, which a failure may leave unredacted
        canvas = self._renderer.render(frame, results, fps=self._known_fps, late_by=self.late_by, on_host=on_host)
        self._pipeline.draw(canvas, frame, results)
        picture = canvas.picture()
        self._drawn_last = (frame, picture) if isinstance(picture, np.ndarray) else None
        return picture

    def _note_arrival(self, frame: Frame) -> None:
        if self._last is not None:
            if (self._last.width, self._last.height) == (frame.width, frame.height):
                self._wait_policy.saw_frame(frame.captured_at - self._last.captured_at)
            else:
                log.info("camera %s now sends %d×%d", self.camera, frame.width, frame.height)
                self._pipeline.forget_past()
        self._last = frame
        self._last_at = self._clock()

    def _live(self, frame: Frame) -> None:
        """Records that the frame was shown, or would have been if anybody watched."""
        self._shown, self._shown_at = frame, self._clock()
        self._turn_slate(False)
        if not self._seen:
            self._seen = True
            self._availability.found()

    def _nothing_came(self) -> None:
        silent = self._clock() - self._last_at
        if silent >= max(SLATE_AFTER, min(2 * self._interval, self._longest_interval)):
            self._show_slate()
        elif silent >= SLATE_AFTER and self._shown is not None and self._publisher.wanted:
            self._show_again(self._shown)

    @property
    def _interval(self) -> float:
        """Seconds between the camera's frames. Until two have arrived: the longest, if that was set for a slow camera,
        else 0."""
        known = self._wait_policy.interval
        return known if known or self._longest_interval <= SLATE_AT_LAST else self._longest_interval

    def _show_again(self, frame: Frame) -> None:
        """Repeats the last image of a slow camera until the next: viewers who receive nothing would disconnect."""
        last = self._drawn_last
        picture = last[1] if last and last[0] is frame else self._drawn(frame, self._pipeline.predicted(frame))
        self._publisher.publish(picture, self._clock(), 1 / SLATE_INTERVAL)

    def _show_slate(self, *, failing: bool = False) -> None:
        self._turn_slate(True)
        if self._seen is not False:
            self._seen = False
            self._tell_lost(failing)
        if not self._publisher.wanted:
            self._publisher.rest()
            return
        words = self._slate_words(failing)
        if self._slate is None or words != self._slate_shows:
            self._slate, self._slate_shows = self._draw_slate(words), words
        self._publisher.publish(self._slate, self._clock(), 1 / SLATE_INTERVAL)

    def _tell_lost(self, failing: bool) -> None:
        why = "failing" if failing else "ended" if self.ended else None
        wall_time = None if self._shown is None else self._shown.wall_time
        self._availability.lost(why, wall_time, self._clock() - (self._shown_at if failing else self._last_at))

    def _slate_words(self, failing: bool) -> SlateWords:
        if self._shown is None:
            since = self._unreached_since
            return (
                SlateWords(SlateReason.CONNECTING)
                if since is None
                else SlateWords(SlateReason.UNREACHED, since, self._availability.reason)
            )
        since = self._shown.wall_time
        if failing or self.ended:
            return SlateWords(SlateReason.FAILING if failing else SlateReason.ENDED, since)
        return SlateWords(SlateReason.OFFLINE, since, self._availability.reason)

    def _draw_slate(self, words: SlateWords) -> Image:
        if self._shown is None:
            return slate(None, FIRST_SIZE, self._title, words)
        last = None if self._pipeline.redacts else self._shown.host()
        return slate(last, self._renderer.size_of(self._shown), self._title, words)

    def _turn_slate(self, active: bool) -> None:
        if active is not self.slate_active:
            self.slate_active = active
            self._slate = None
            self._metrics.slate_active.set(active)

    @property
    def _known_fps(self) -> float | None:
        """The camera's frame rate; None until it is known."""
        return 1 / self._wait_policy.interval if self._wait_policy.interval else None

    @property
    def _fps(self) -> float:
        return self._known_fps or 25.0
