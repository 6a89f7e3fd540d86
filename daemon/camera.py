"""One camera with all its parts: feed, frame slot, pipeline through the plug-ins, output."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Sequence

from sightd.daemon.capture.errors import Reason
from sightd.daemon.capture.feed import Feed
from sightd.daemon.capture.reconnect import FeedState
from sightd.daemon.capture.slot import FrameSlot
from sightd.daemon.capture.source import SourceKind
from sightd.daemon.capture.status import FeedStatus
from sightd.daemon.config.model import Camera, Output, Render
from sightd.daemon.encode.choice import CodecChoice
from sightd.daemon.events.availability import CameraAvailability, ReportedState
from sightd.daemon.events.journal import Journal
from sightd.daemon.metrics.registry import Metrics
from sightd.daemon.pipeline.manager import PluginManager
from sightd.daemon.pipeline.output import CameraOutput
from sightd.daemon.pipeline.publisher import Publisher
from sightd.daemon.render.renderer import Renderer
from sightd.daemon.serve.mjpeg import JpegStream
from sightd.daemon.serve.rtsp_stream import RtspStream
from sightd.daemon.serve.view import CameraStatus
from sightd.engines.cuda.frame_drawing import FrameDrawing
from sightd.engines.cuda.nvdec import Nvdec
from sightd.plugins.types import Classification, Detections, Faces, Frame, Results, label_of

log = logging.getLogger(__name__)

_SLOWEST_RECORDING = 20.0
"""Seconds: twice the longest gap between frames of a time lapse before the slate is shown."""


class CameraRun:
    """A running camera, from its source to its viewers. Call `start` and `stop` on the daemon's thread."""

    def __init__(
        self,
        name: str,
        options: Camera,
        *,
        chain: Sequence[str],
        render: Render,
        output: Output,
        codec: CodecChoice,
        nvdec: Nvdec | None,
        drawing: FrameDrawing | None,
        manager: PluginManager,
        metrics: Metrics,
        journal: Journal,
        reported: ReportedState,
        rtsp: RtspStream | None,
        jpeg: JpegStream | None,
    ) -> None:
        self.name = name
        self._began = time.monotonic()
        title = options.title or name
        self.chain = tuple(chain)
        self._manager = manager
        self._codec = codec
        self._metrics = metrics.camera(name)
        self._metrics.encoder(codec.name)
        self._all_metrics = metrics
        self._availability = CameraAvailability(name, self._metrics, journal, reported)
        self._slot = FrameSlot()
        self._feed = Feed(name, options, self._arrived, self, nvdec=nvdec, wanted_height=output.max_height)
        self._output = CameraOutput(
            name,
            title,
            self._slot,
            manager.pipeline(name, chain, self._analysed),
            Renderer(title, render, output.max_height, drawing),
            Publisher(output, codec, rtsp, jpeg, self._metrics, metrics.stages),
            self._metrics,
            metrics.stages,
            self._availability,
            longest_interval=_longest_interval(options, self._feed.source.kind),
        )

    def start(self) -> None:
        self._began = time.monotonic()
        self._output.start()
        self._feed.start()

    def request_stop(self) -> None:
        """Asks both threads to end soon; does not wait."""
        self._feed.request_stop()
        self._output.request_stop()

    def stop(self, deadline: float) -> None:
        """Stops both threads, or abandons them after `deadline` seconds; then discards the plug-ins' state for the
        camera and removes its metrics."""
        until = time.monotonic() + deadline
        self.request_stop()
        self._feed.stop(deadline)
        if not self._output.stop(max(0.1, until - time.monotonic())):
            log.error("camera %s: the output thread did not stop within %.1f s; abandoning it", self.name, deadline)
        self._manager.forget(self.name, max(0.1, until - time.monotonic()))
        self._all_metrics.remove_camera(self.name)

    def stalled(self, now: float, limit: float) -> str | None:
        """Names the loop that is stuck, or returns None if both make progress. The output loop, which turns several
        times a second, is stuck after `limit` seconds; the feed is stuck after the longest time that FFmpeg may
        block."""
        if now - self._output.progress_at > limit:
            return f"the output of {self.name}"
        if now - self._feed.progress_at > self._feed.patience and self._feed.status.state is not FeedState.ENDED:
            return f"the feed of {self.name}"
        return None

    @property
    def feed(self) -> FeedStatus:
        return self._feed.status

    def status(self) -> CameraStatus:
        """The camera's state for `/readyz`: the state of its feed or, while that is live, of its output."""
        feed = self._feed.status
        state, reason, since = str(feed.state), feed.last_error, feed.since
        seen = feed.state is FeedState.LIVE and not self._output.slate_active
        if feed.state in (FeedState.CONNECTING, FeedState.WAITING):
            since = self._began if feed.last_frame_at is None else feed.last_frame_at
            if self._availability.reason is Reason.DECODE and feed.state is FeedState.CONNECTING:
                reason = Reason.DECODE.explanation  # all frames are damaged, but not yet for long enough to reconnect
        elif feed.state is FeedState.LIVE:
            reason = None
            if fault := self._output.fault:
                state, reason = "failing", fault
            elif self._output.slate_active:
                since = feed.since if feed.last_frame_at is None else feed.last_frame_at
                state, reason = "stale", self._availability.reason.explanation
            elif feed.late_since is not None:
                since = feed.late_since
                late_by = f"{feed.age or 0.0:.1f} s"
                state, reason = "late", f"frames arrive {late_by} late: the network or this machine is too slow"
        return CameraStatus(
            state=state,
            since=time.time() - (time.monotonic() - since),
            reason=reason,
            size=feed.size,
            fps=round(feed.fps, 2) if seen else 0.0,
            encoder=self._codec.name,
            encoder_reason=self._codec.reason,
            age=round(feed.age, 2) if seen and feed.age is not None else None,
        )

    def state_changed(self, camera: str, state: FeedState) -> None:
        self._output.ended = state is FeedState.ENDED
        if state is FeedState.LIVE:
            self._availability.connected()

    def camera_lost(self, camera: str, reason: Reason) -> None:
        self._metrics.lost(reason)
        self._metrics.age.set(0)
        self._availability.fault(reason)
        self._output.late_by = None
        self._output.camera_lost(time.time())

    def frame_damaged(self, camera: str) -> None:
        self._metrics.dropped("capture", "damaged")
        self._availability.frame(damaged=True)

    def frame_aged(self, camera: str, age: float, *, late: bool) -> None:
        self._metrics.age.set(age)
        self._output.late_by = age if late else None
        self._availability.timeliness(age, late=late)

    def frame_skipped(self, camera: str) -> None:
        self._metrics.dropped("capture", "late")

    def _arrived(self, frame: Frame) -> None:
        self._availability.frame(damaged=False)
        self._metrics.frames["captured"].inc()
        self._metrics.last_frame.set(frame.wall_time)
        if self._slot.put(frame):
            self._metrics.dropped("admission", "replaced")

    def _analysed(self, results: Results, seconds: float) -> None:
        self._all_metrics.stages["analysis"].observe(seconds)
        self._metrics.frames["analysed"].inc()
        detections = results.get(Detections)
        if detections is not None:
            for class_id, count in Counter(detections.class_ids.tolist()).items():
                self._metrics.detected(label_of(detections.labels, class_id), count)
        faces = results.get(Faces)
        if faces is not None:
            known = sum(identity is not None for identity in faces.identities)
            self._metrics.matched("known", known)
            self._metrics.matched("unknown", len(faces) - known)
        classified = results.get(Classification)
        if classified is not None:
            for row in range(len(classified)):
                label, _, score = classified.of_row(row)[0]
                if score >= classified.shown_from:
                    self._metrics.classified(label)


def _longest_interval(options: Camera, kind: SourceKind) -> float:
    """Seconds without a frame after which this camera counts as lost."""
    if kind is SourceKind.FILE:
        return _SLOWEST_RECORDING
    return options.timeout + (options.poll_interval if kind is SourceKind.HTTP else 0.0)
