"""The running cameras: each one's parts, and how they start, stop and are removed independently."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial

from sightd.daemon.capture.errors import Reason
from sightd.daemon.capture.feed import Feed
from sightd.daemon.capture.packets import PacketObservers
from sightd.daemon.capture.reconnect import FeedState
from sightd.daemon.capture.slot import FrameSlot
from sightd.daemon.capture.status import FeedStatus
from sightd.daemon.config.diff import chain_of, output_of, render_of
from sightd.daemon.config.model import Camera, Config, Output, Render
from sightd.daemon.config.recording import CameraRules, allows_unredacted, rules_of
from sightd.daemon.config.source import SourceKind
from sightd.daemon.encode.choice import CodecChoice
from sightd.daemon.events.availability import CameraAvailability, ReportedState
from sightd.daemon.events.event import PendingEvent
from sightd.daemon.events.journal import Journal
from sightd.daemon.events.open_events import OpenEvents
from sightd.daemon.events.rules import EventRules
from sightd.daemon.metrics.registry import Metrics
from sightd.daemon.pipeline.camera_pipeline import CameraPipeline
from sightd.daemon.pipeline.frame_queue import FrameTask
from sightd.daemon.pipeline.manager import PluginManager
from sightd.daemon.pipeline.output import CameraOutput
from sightd.daemon.pipeline.publisher import Publisher
from sightd.daemon.ptz.manager import PtzManager
from sightd.daemon.recording.recorder import Recorder
from sightd.daemon.recording.tap import AnnotatedPackets, PacketTap
from sightd.daemon.render.renderer import Renderer
from sightd.daemon.serve.jpeg_stream import JpegStream
from sightd.daemon.serve.live_results import LiveResults
from sightd.daemon.serve.live_video import VIEWER_PROTOCOLS, CameraVideo
from sightd.daemon.serve.rtsp.server import RtspServer
from sightd.daemon.serve.rtsp.stream import RtspStream
from sightd.daemon.serve.view import CameraEntry, CameraStatus, RtspAddress, Viewers
from sightd.daemon.snapshots.camera import CameraSnapshots
from sightd.daemon.snapshots.drawing import SnapshotDrawing
from sightd.daemon.snapshots.writer import SnapshotWriter
from sightd.engines.cuda.gpus import Gpus
from sightd.engines.cuda.nvdec import Nvdec
from sightd.engines.cuda.pipelines.drawing import FrameDrawing
from sightd.engines.errors import EngineError
from sightd.plugins.api import Frame, Results

log = logging.getLogger(__name__)


def video_gpu(device: str) -> str:
    """Returns the GPU that decodes with NVDEC and draws: the `device` configured for engines if it is one, else
    "cuda:0"."""
    return device if device.startswith("cuda:") else "cuda:0"


def open_drawing(gpus: Gpus, device: str, camera: str) -> FrameDrawing | None:
    """Opens the GPU for drawing on one camera's frames. If that fails, logs a warning and returns None: the CPU draws
    then."""
    try:
        return FrameDrawing(gpus.get(device))
    except EngineError as error:
        log.warning("camera %s: decoding with nvdec, drawing on the CPU: %s", camera, error)
        return None


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
        rules: EventRules,
        reported: ReportedState,
        live: LiveResults,
        ptz: PtzManager,
        rtsp: RtspStream | None,
        jpeg: JpegStream | None,
        video: CameraVideo,
        recorder: Recorder | None,
        recorded: CameraRules | None,
        unredacted: bool,
        snapshots: SnapshotWriter | None,
    ) -> None:
        """`recorded` says what `recorder` records; what is received, if the chain redacts, only if `unredacted`.
        `snapshots` takes pictures of events."""
        self.name = name
        self._began = time.monotonic()
        title = options.title or name
        self.chain = tuple(chain)
        self._manager = manager
        self._codec = codec
        self._metrics = metrics.camera(name)
        for protocol in VIEWER_PROTOCOLS:
            self._metrics.clients[protocol].set_function(partial(video.viewers, protocol))
        self._metrics.encoder(codec.name)
        self._all_metrics = metrics
        self._journal, self._rules = journal, rules
        self._live, self._ptz = live, ptz
        self._availability = CameraAvailability(name, self._metrics, journal, reported)
        self._reported = reported
        self._results: Results | None = None
        self._slot = FrameSlot()
        self._events = OpenEvents(self._admit)
        forgotten = partial(self._events.end, "frame_size")
        pipeline = self._pipeline = manager.pipeline(name, chain, self._analysed, forgotten)
        recordable = recorded is not None and (recorded.annotated or unredacted or not pipeline.redacts)
        self._recorder = recorder if recordable else None
        if recorded is not None and not recordable:
            log.error("camera %s is not recorded: its chain redacts, and recording.allow_unredacted is not set", name)
        video.restrict(redacted=pipeline.redacts, allowed=unredacted)
        tap, annotated = self._tap(recorded), recorded is not None and recorded.annotated
        received = (video.clean,) if tap is None or annotated else (video.clean, tap)
        self._feed = Feed(
            name,
            options,
            self._arrived,
            self,
            nvdec=nvdec,
            wanted_height=output.max_height,
            packets=PacketObservers(received),
        )
        self._snapshots = None if snapshots is None else self._picturing(snapshots, title, render, output, pipeline)
        self._output = CameraOutput(
            name,
            title,
            self._slot,
            pipeline,
            Renderer(title, render, output.max_height, drawing),
            Publisher(
                output,
                codec,
                rtsp,
                jpeg,
                self._metrics,
                metrics.stages,
                browsers=video.annotated,
                recording=None if tap is None or not annotated else AnnotatedPackets(tap),
            ),
            self._metrics,
            metrics.stages,
            self._availability,
            longest_interval=_longest_interval(options, self._feed.source.kind),
        )

    def start(self) -> None:
        self._began = time.monotonic()
        self._output.start()
        self._feed.start()

    def _tap(self, recorded: CameraRules | None) -> PacketTap | None:
        if self._recorder is None or recorded is None:
            return None
        return self._recorder.tap(self.name, recorded, self._metrics.recording())

    def _picturing(
        self, writer: SnapshotWriter, title: str, render: Render, output: Output, pipeline: CameraPipeline
    ) -> CameraSnapshots:
        drawing = SnapshotDrawing(title, render, output.max_height, writer.options, pipeline)
        return CameraSnapshots(self.name, render, drawing, writer, self._metrics.snapshots(), self._video_status)

    def _video_status(self) -> tuple[float | None, float | None]:
        """Returns the frame rate, and how many s late the frames arrive."""
        return self._feed.status.fps or None, self._output.late_by

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
        self._events.close()
        if self._recorder is not None:
            self._recorder.remove(self.name)
        if self._snapshots is not None:
            self._snapshots.close()
        self._all_metrics.remove_camera(self.name)

    def stalled(self, now: float, limit: float) -> str | None:
        """Names the loop that is stuck, or returns None if both make progress. The output loop, which iterates several
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

    @property
    def is_shown(self) -> bool:
        """Whether the stream is live, as was last reported by an event."""
        return bool(self._reported.seen)

    @property
    def results(self) -> Results | None:
        """Results of the last analysed frame; None if there is none, or analysis is paused."""
        return None if self.paused else self._results

    @property
    def paused(self) -> bool:
        """Whether the analysis is paused: frames are shown as they come."""
        return self._pipeline.paused

    @property
    def can_pause(self) -> bool:
        """Whether the analysis can be paused: not if the chain redacts."""
        return not self._pipeline.redacts

    def pause(self, paused: bool) -> None:
        """Pauses or resumes the analysis, if it can be paused. Any thread."""
        self._results = None
        self._pipeline.paused = paused and self.can_pause
        self._metrics.analysing(not self._pipeline.paused)

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

    def _analysed(self, task: FrameTask, seconds: float) -> None:
        self._all_metrics.stages["analysis"].observe(seconds)
        self._metrics.frames["analysed"].inc()
        self._results = task.results
        for counts in task.counts.values():
            for count in counts:
                self._metrics.count(count)
        self._metrics.measured(task.gauges)
        self._live.publish(task.frame, task.results)
        self._ptz.observe(task.frame, task.results)
        with self._taking_snapshots(task):
            for plugin, event in task.events:
                at, about = task.frame.wall_time, event.about
                self._events.record(PendingEvent(event.kind, at, self.name, plugin, event.facts, about, event.phase))

    def _taking_snapshots(self, task: FrameTask) -> AbstractContextManager[None]:
        if self._snapshots is None:
            return nullcontext()
        return self._snapshots.of_frame(task.frame, task.results, task.processed, bool(task.events))

    def _admit(self, event: PendingEvent) -> None:
        if (admitted := self._rules.admit(event)) is not None:
            snapshots = self._snapshots
            self._journal.record(admitted if snapshots is None else snapshots.add_to(admitted))


def _longest_interval(options: Camera, kind: SourceKind) -> float:
    """Seconds without a frame after which this camera counts as lost."""
    if kind is SourceKind.FILE:
        return _SLOWEST_RECORDING
    return options.timeout + (options.poll_interval if kind is SourceKind.HTTP else 0.0)


STOP_DEADLINE = 3.0
"""Seconds within which cameras that are stopped together must all end."""


@dataclass(slots=True)
class _CameraEndpoints:
    """A camera's viewer endpoints. They last as long as it is configured, running or not, so viewers stay connected."""

    title: str
    jpeg: JpegStream | None = None
    jpeg_max_fps: float = 0.0
    rtsp: RtspStream | None = None
    video: CameraVideo = field(default_factory=CameraVideo)
    reported: ReportedState = field(default_factory=ReportedState)


class CameraManager:
    """Manages the cameras. Endpoints are created before cameras start, so early viewers wait for the first frame.

    Use from one thread; the properties, `entries`, `jpeg`, `viewers`, `address` and `pause` may be called from any
    thread.
    """

    def __init__(
        self,
        manager: PluginManager,
        metrics: Metrics,
        journal: Journal,
        rules: EventRules,
        gpus: Gpus,
        video_gpu: str,
    ) -> None:
        """`rules` decide which events of plug-ins get into the journal."""
        self._manager, self._metrics, self._journal, self._rules = manager, metrics, journal, rules
        self._gpus, self._video_gpu = gpus, video_gpu
        self._endpoints: dict[str, _CameraEndpoints] = {}
        self._runs: dict[str, CameraRun] = {}
        self._paused: set[str] = set()
        self.rtsp: RtspServer | None = None
        self.nvdec: Nvdec | None = None
        self.recorder: Recorder | None = None
        self.live = LiveResults()
        self.ptz = PtzManager()
        self.snapshots: SnapshotWriter | None = None

    @property
    def runs(self) -> Mapping[str, CameraRun]:
        """The running cameras by name."""
        return dict(self._runs)

    def entries(self) -> list[CameraEntry]:
        """All configured cameras in the order of the configuration, as shown to viewers."""
        return [CameraEntry(name, place.title, self.address(name)) for name, place in list(self._endpoints.items())]

    def jpeg(self, camera: str) -> JpegStream | None:
        place = self._endpoints.get(camera)
        return None if place is None else place.jpeg

    def video(self, camera: str) -> CameraVideo | None:
        place = self._endpoints.get(camera)
        return None if place is None else place.video

    def viewers(self, camera: str) -> Viewers:
        """Number of viewers watching a camera now."""
        place = self._endpoints.get(camera)
        if place is None:
            return Viewers(0, 0)
        rtsp = 0 if place.rtsp is None else place.rtsp.clients
        mjpeg = 0 if place.jpeg is None else place.jpeg.clients
        return Viewers(rtsp, mjpeg, place.video.viewers("webrtc"), place.video.viewers("mse"))

    def address(self, camera: str) -> RtspAddress | None:
        return None if self.rtsp is None else self.rtsp.address(camera)

    def place(self, config: Config, cameras: Iterable[str]) -> None:
        """Creates endpoints for cameras, in the file's order, or updates existing ones to changed options."""
        for name in cameras:
            camera = config.cameras[name]
            place = self._endpoints.setdefault(name, _CameraEndpoints(""))
            place.title = camera.title or name
            max_fps = output_of(config, camera).mjpeg_max_fps
            if place.jpeg_max_fps != max_fps:
                if place.jpeg is not None:
                    place.jpeg.close()
                place.jpeg, place.jpeg_max_fps = JpegStream(max_fps), max_fps
            if self.rtsp is not None and place.rtsp is None:
                place.rtsp = self.rtsp.add(name)
        self._endpoints = {name: self._endpoints[name] for name in config.cameras if name in self._endpoints}

    def start(self, config: Config, codecs: Mapping[str, CodecChoice]) -> None:
        """Creates and starts cameras that have endpoints; `codecs` maps the cameras to start to their encoders."""
        made = {name: self._made(name, config, codec) for name, codec in codecs.items()}
        self._runs.update(made)
        for name, run in made.items():
            run.pause(name in self._paused)
            run.start()

    def pause(self, camera: str, paused: bool) -> bool:
        """Pauses or resumes the analysis of a camera, until the next start of the daemon. Returns False if there is no
        such camera, or its chain redacts."""
        run = self._runs.get(camera)
        if run is None or not run.can_pause:
            return False
        (self._paused.add if paused else self._paused.discard)(camera)
        run.pause(paused)
        return True

    def stop(self, cameras: Iterable[str], within: float = STOP_DEADLINE) -> None:
        """Stops cameras, `within` seconds for all of them together. Their viewers stay connected."""
        runs = [self._runs.pop(name) for name in list(cameras) if name in self._runs]
        for run in runs:
            run.request_stop()
        until = time.monotonic() + within
        for run in runs:
            run.stop(max(0.0, until - time.monotonic()))

    def remove(self, cameras: Iterable[str]) -> None:
        """Removes the endpoints of stopped cameras and disconnects their viewers."""
        for name in cameras:
            place = self._endpoints.pop(name, None)
            if place is None:
                continue
            place.reported.removed(name, self._journal)
            place.video.end()
            if place.jpeg is not None:
                place.jpeg.close()
            if self.rtsp is not None:
                self.rtsp.remove(name)

    def close(self, within: float = STOP_DEADLINE) -> None:
        """Stops all cameras `within` seconds and disconnects viewers over HTTP; the RTSP server disconnects its own."""
        self.stop(list(self._runs), within)
        for place in self._endpoints.values():
            place.video.end()
            if place.jpeg is not None:
                place.jpeg.close()

    def _made(self, name: str, config: Config, codec: CodecChoice) -> CameraRun:
        camera, place = config.cameras[name], self._endpoints[name]
        nvdec = camera.decoder == "nvdec"
        return CameraRun(
            name,
            camera,
            chain=chain_of(config, camera),
            render=render_of(config, camera),
            output=output_of(config, camera),
            codec=codec,
            nvdec=self.nvdec if nvdec else None,
            drawing=open_drawing(self._gpus, self._video_gpu, name) if nvdec else None,
            manager=self._manager,
            metrics=self._metrics,
            journal=self._journal,
            rules=self._rules,
            reported=place.reported,
            live=self.live,
            ptz=self.ptz,
            rtsp=place.rtsp,
            jpeg=place.jpeg,
            video=place.video,
            recorder=self.recorder,
            recorded=rules_of(config, camera),
            unredacted=allows_unredacted(config, camera),
            snapshots=self._snapshots_of(name),
        )

    def _snapshots_of(self, camera: str) -> SnapshotWriter | None:
        writer = self.snapshots
        return writer if writer is not None and writer.options.includes(camera) else None


def codecs_of(config: Config, cameras: Iterable[str]) -> dict[str, CodecChoice]:
    """Chooses each camera's encoder. Raises EncoderMissingError if NVENC is required but not available."""
    return {name: CodecChoice(name, output_of(config, camera).encoder) for name, camera in _of(config, cameras)}


def uses_nvdec(config: Config, cameras: Iterable[str]) -> bool:
    return any(camera.decoder == "nvdec" for _, camera in _of(config, cameras))


def _of(config: Config, cameras: Iterable[str]) -> list[tuple[str, Camera]]:
    return [(name, config.cameras[name]) for name in cameras]
