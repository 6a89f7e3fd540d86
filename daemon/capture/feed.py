"""One camera's thread: connects, decodes, timestamps, passes intact frames on, and reconnects after every fault."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol
from urllib.parse import unquote, urlsplit

from sightd.daemon.capture.decoding import DecodedFrame
from sightd.daemon.capture.errors import Reason, SourceError, fault_of, hiding
from sightd.daemon.capture.http_camera import open_web
from sightd.daemon.capture.lateness import Lateness
from sightd.daemon.capture.packets import PacketObserver
from sightd.daemon.capture.reconnect import FaultThrottle, FeedState, ReconnectPolicy, ReconnectState, in_words
from sightd.daemon.capture.rtsp import RtspCapture
from sightd.daemon.capture.rtsp_dialogue import UnreadableCodecError
from sightd.daemon.capture.rtsp_gstreamer import GStreamerError
from sightd.daemon.capture.status import FeedStats, FeedStatus
from sightd.daemon.capture.stream import AvStream, Clock, Gap, Playback, Stream
from sightd.daemon.capture.testpattern import PatternStream
from sightd.daemon.config.model import Camera
from sightd.daemon.config.source import Source, SourceKind, source_of
from sightd.engines.cuda.nvdec import Nvdec
from sightd.plugins.api import Frame

_log = logging.getLogger(__name__)


def open_stream(source: Source, playback: Playback, limit: float | None = None) -> Stream:
    """Opens `source`; blocks for about `limit` s at most (None: for as long as it takes; for sources without a limit).

    Raises SourceError, or what PyAV and sockets raise; see `errors.fault_of`.
    """
    if source.kind is SourceKind.PATTERN:
        return PatternStream(source, playback)
    if source.kind is SourceKind.HTTP:
        return open_web(source, playback, limit)
    if source.kind is SourceKind.RTSP and limit is not None:
        try:
            return RtspCapture(source, playback, limit)
        except UnreadableCodecError as error:
            _by_ffmpeg(source, error.detail)
        except GStreamerError as error:
            _by_ffmpeg(source, str(error))
    return AvStream(source, playback, limit)


def _by_ffmpeg(source: Source, why: str) -> None:
    _log.warning("using FFmpeg for %s, which adds a delay of one frame interval: %s", source.label, why)


class CorruptionGate:
    """Lets only intact frames through. After damage, every frame depends on a broken one until a key frame arrives.

    A camera with very rare key frames would stay dark for long, so intact frames pass again `patience` seconds after
    the damage, with whatever artefacts are left in them.
    """

    def __init__(self, patience: float = 4.0) -> None:
        self._patience = patience
        self._damaged_at: float | None = None

    def damaged(self, now: float) -> None:
        """Records that data was lost or could not be decoded."""
        if self._damaged_at is None:
            self._damaged_at = now

    def passes(self, *, corrupt: bool, key: bool, now: float) -> bool:
        """Returns whether a frame may be shown. `corrupt`: the decoder marked it as damaged; `key`: it can be decoded
        on its own."""
        if corrupt:
            self.damaged(now)
            return False
        if key or (self._damaged_at is not None and now - self._damaged_at > self._patience):
            self._damaged_at = None
        return self._damaged_at is None


class FeedEvents(Protocol):
    """Observer of a feed. Called from the feed's thread; must be quick and must not raise."""

    def state_changed(self, camera: str, state: FeedState) -> None:
        """The feed entered `state`."""
        ...

    def camera_lost(self, camera: str, reason: Reason) -> None:
        """The camera was lost or could not be opened; a retry follows."""
        ...

    def frame_damaged(self, camera: str) -> None:
        """Data was damaged: a frame that depends on it was held back, or a packet could not be decoded."""
        ...

    def frame_aged(self, camera: str, age: float, *, late: bool) -> None:
        """A frame was `age` s old when it arrived; `late`: the stream counts as late."""
        ...

    def frame_skipped(self, camera: str) -> None:
        """A frame of a backlog was skipped, so that the stream catches up sooner."""
        ...


class Feed:
    """Reads one camera in its own thread and passes intact frames to `sink`, in order.

    Frames are numbered from 0 without gaps over the feed's whole life. `sink` is called from the feed's thread and must
    not block; `FrameSlot.put` is meant for it. `nvdec`, if given, decodes instead of FFmpeg. If a source offers several
    sizes, the smallest with at least `wanted_height` lines is read (None: the largest). `packets` observes
    what is received. Raises InvalidSourceError if the camera's address cannot be used.
    """

    def __init__(
        self,
        camera: str,
        options: Camera,
        sink: Callable[[Frame], object],
        events: FeedEvents,
        *,
        clock: Clock | None = None,
        chance: Callable[[], float] = random.random,
        nvdec: Nvdec | None = None,
        wanted_height: int | None = None,
        packets: PacketObserver | None = None,
    ) -> None:
        self.camera = camera
        self.source = replace(source_of(options), wanted_height=wanted_height)
        address = self.source.address
        self._password = unquote(urlsplit(address).password or "") if "://" in address else ""
        self._sink, self._events, self._chance = sink, events, chance
        self._clock = clock or Clock()
        policy = ReconnectPolicy(
            initial_delay=options.reconnect.initial_delay,
            max_delay=options.reconnect.max_delay,
            timeout=self.source.timeout,
            loop=self.source.loop,
            opening=self.source.open_timeout,
        )
        self._max_delay = policy.max_delay
        now = self._clock.monotonic()
        self._connection = ReconnectState(policy, now)
        self._stats = FeedStats(now)
        self._gate = CorruptionGate()
        self._lateness = Lateness(options.late_after)
        self._fault_throttle = FaultThrottle()
        self._news = True
        """Whether to log that frames arrive: none ever arrived before, or their loss was logged."""
        self._stopping = threading.Event()
        self._playback = Playback(self._clock, self._stopping.wait, nvdec=nvdec, packets=packets)
        self._next_seq = 0
        self._progress_at = now
        self._thread = threading.Thread(target=self._run, name=f"feed-{camera}", daemon=True)

    @property
    def status(self) -> FeedStatus:
        """The feed's current status. Any thread may read it."""
        return self._stats.snapshot(self._clock.monotonic())

    @property
    def progress_at(self) -> float:
        """Monotonic time of the loop's last iteration: with each packet, and before and after each attempt. FFmpeg may
        block the loop for `patience` s."""
        return self._progress_at

    @property
    def patience(self) -> float:
        """Seconds that an attempt to open, a read and a wait may take together, plus a margin for name resolution."""
        opening = self._connection.policy.longest_opening
        return opening + 2 * (self.source.timeout or 0.0) + self._max_delay + 60.0

    def start(self) -> None:
        """Starts the thread; call it once."""
        self._progress_at = self._clock.monotonic()
        self._thread.start()

    def request_stop(self) -> None:
        """Asks the thread to end as soon as it can, without waiting for it."""
        self._stopping.set()

    def stop(self, deadline: float) -> bool:
        """Stops the thread. Returns False if it has not ended within `deadline` s.

        The feed of an RTSP camera, and any feed that receives packets, paces or waits, ends at once. FFmpeg cannot be
        interrupted from outside: a feed that is blocked in it ends after the rest of the camera's `timeout` (while
        opening: after its limit, plus the time that the system's resolver takes for a name). Until then it passes on no
        frame, and it closes its source when it wakes.
        """
        self.request_stop()
        if self._thread.is_alive():
            self._thread.join(max(0.0, deadline))
        if self._thread.is_alive():
            _log.warning("camera %s: the feed is still blocked %.1f s after it was stopped", self.camera, deadline)
            return False
        return True

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._progress_at = self._clock.monotonic()
            at = self._connection.next_attempt
            if at is None:
                break
            if not self._stopping.wait(max(0.0, at - self._clock.monotonic())):
                self._play()
        self._connection.stop(self._clock.monotonic())
        self._report_state()

    def _play(self) -> None:
        """Makes one attempt: from opening to the end, a fault or the stop."""
        self._connection.opening(self._clock.monotonic())
        self._report_state()
        fault: SourceError | None = None
        try:
            stream = open_stream(self.source, self._playback, self._connection.opening_limit)
            try:
                self._connection.opened(self._clock.monotonic(), recorded=stream.recorded, interval=stream.interval)
                self._lateness.restart()
                self._read(stream)
            finally:
                if self._playback.packets is not None:
                    self._playback.packets.stream_closed()
                stream.close()
        except Exception as failure:  # noqa: BLE001 - the thread's boundary: a feed must survive whatever FFmpeg raises
            fault = hiding(fault_of(failure), self._password)
        if not self._stopping.is_set():
            self._conclude(fault)

    def _conclude(self, fault: SourceError | None) -> None:
        now, chance = self._clock.monotonic(), self._chance()
        if fault is None:
            reason = self._connection.finished(now, chance)
            fault = None if reason is None else SourceError(reason)
        else:
            self._connection.failed(fault.reason, now, chance)
        if fault is not None:
            self._report_fault(fault, now)
        self._report_state()

    def _read(self, stream: Stream) -> None:
        for decoded in stream.frames():
            if self._stopping.is_set():
                return
            self._progress_at = now = self._clock.monotonic()
            if reason := self._connection.lost(now):
                raise SourceError(reason)
            self._connection.packet(now)
            if isinstance(decoded, DecodedFrame):
                self._take(decoded, now, live=not stream.recorded and self.source.kind is not SourceKind.PATTERN)
            elif decoded is Gap.DAMAGED:
                self._gate.damaged(now)
                self._hold_back()

    def _take(self, decoded: DecodedFrame, now: float, *, live: bool) -> None:
        if not self._gate.passes(corrupt=decoded.corrupt, key=decoded.key, now=now):
            self._hold_back()
            return
        self._connection.frame(now)
        self._report_state()
        if self._stats.frame(decoded.captured_at, decoded.wall_time, decoded.size):
            _log.info("camera %s: frame size is now %d x %d", self.camera, *decoded.size)
        if live and decoded.pts is not None and not self._is_worth_showing(decoded, decoded.pts):
            self._events.frame_skipped(self.camera)
            return
        frame = Frame(
            self.camera,
            self._next_seq,
            decoded.size,
            decoded.decode,
            captured_at=decoded.captured_at,
            wall_time=decoded.wall_time,
            pts=decoded.pts,
            on_device=decoded.on_device,
            luma=decoded.luma,
        )
        self._next_seq += 1
        self._sink(frame)

    def _is_worth_showing(self, decoded: DecodedFrame, pts: float) -> bool:
        """Returns whether to show a live frame, and reports how late it is. Raises SourceError to reopen the stream."""
        lateness = self._lateness
        was_late, shown = lateness.late, lateness.frame(pts, decoded.captured_at, decoded.began_at)
        age = lateness.age or 0.0
        if lateness.late is not was_late:
            self._log_lateness(age)
        self._stats.timeliness(age, lateness.since if lateness.late else None)
        self._events.frame_aged(self.camera, age, late=lateness.late)
        if lateness.hopeless(decoded.captured_at):
            raise SourceError(Reason.LATE, f"{age:.1f} s late")
        return shown

    def _log_lateness(self, age: float) -> None:
        if self._lateness.late:
            _log.warning("camera %s (%s): frames arrive %.1f s late", self.camera, self.source.label, age)
        else:
            _log.info("camera %s (%s): frames arrive on time again", self.camera, self.source.label)

    def _hold_back(self) -> None:
        self._stats.damage()
        self._events.frame_damaged(self.camera)

    def _report_fault(self, fault: SourceError, now: float) -> None:
        self._stats.fault(fault.reason, str(fault))
        self._stats.timeliness(None, None)
        attempts, since = self._connection.attempts, self._fault_throttle.since(now)
        told = self._fault_throttle.worth_logging(fault.reason, attempts, now)
        self._news = self._news or told
        what_now = "retrying" if attempts <= 1 else f"{attempts} attempts in {in_words(since)}; retrying"
        _log.log(
            logging.WARNING if told else logging.DEBUG,
            "camera %s (%s): %s; %s",
            self.camera,
            self.source.label,
            fault,
            what_now,
            extra={"reason": str(fault.reason)},
        )
        self._events.camera_lost(self.camera, fault.reason)

    def _report_state(self) -> None:
        state = self._connection.state
        if self._stats.enter(state, self._connection.since):
            self._log_state(state)
            self._events.state_changed(self.camera, state)

    def _log_state(self, state: FeedState) -> None:
        """Logs the state; the retries of an offline camera only at debug level."""
        quiet = state in (FeedState.CONNECTING, FeedState.WAITING) or (state is FeedState.LIVE and not self._news)
        if state is FeedState.LIVE:
            self._news = False
        level = logging.DEBUG if quiet else logging.INFO
        _log.log(level, "camera %s (%s): %s", self.camera, self.source.label, state)
