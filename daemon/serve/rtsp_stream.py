"""One camera's RTSP stream: packets encoded once go to every viewer."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from sightd.daemon.encode.packet import Packet
from sightd.daemon.serve.access_unit_delimiter import move_aud_to_end
from sightd.daemon.serve.gst import GStreamer
from sightd.daemon.serve.keyframe_gate import KeyframeGate
from sightd.daemon.serve.rtsp_factory import media_factory
from sightd.daemon.serve.rtsp_keep_alive import Later

log = logging.getLogger(__name__)

LAUNCH = (
    "( appsrc name=packets is-live=true format=time block=false leaky-type=downstream "
    "max-buffers=240 max-bytes=16777216 max-time=500000000 "
    "caps=video/x-h264,stream-format=byte-stream,alignment=au "
    "! rtph264pay name=pay0 pt=96 config-interval=-1 aggregate-mode=zero-latency mtu=1400 )"
)
"""A bin, not a pipeline: a pipeline could not serve a new first viewer after the last one left. The queue is bounded
and drops its oldest packet: only key frames, while a media waits for its first PLAY."""


_MOST_BEHIND = 400_000_000
"""Nanoseconds in the queue from which on packets are dropped here. The queue itself would drop one from the middle, and
every frame up to the next key frame would be corrupted."""


class RtspStream:
    """The camera's side of a stream. `push` and the properties are thread-safe and never block.

    Created by `RtspServer.add`, which also reports viewers to it (`viewer_plays`, `viewer_left`).
    """

    def __init__(self, camera: str, gstreamer: GStreamer, later: Later) -> None:
        self.camera = camera
        self._gstreamer = gstreamer
        self._later = later
        self._lock = threading.Lock()
        self._gate = KeyframeGate()
        self._viewers: set[int] = set()
        self._factory: Any = None
        self._media: Any = None
        self._source: Any = None
        self._clock = MediaClock()
        self._behind = self._catching_up = False
        self._skipped = 0

    @property
    def skipped(self) -> int:
        """Packets that playing viewers did not get because the server was behind."""
        return self._skipped

    @property
    def wanted(self) -> bool:
        """Whether a viewer watches or is about to; otherwise packets are not needed."""
        return self._gate.wanted

    @property
    def clients(self) -> int:
        """Number of viewers playing the stream now."""
        return len(self._viewers)

    def take_keyframe_request(self) -> bool:
        """Returns True once after each new viewer: encode the next frame as a key frame."""
        with self._lock:
            return self._gate.take_key_request()

    def push(self, packet: Packet) -> bool:
        """Sends a packet to all viewers. Returns False if nobody wants it or it depends on a packet that was
        dropped."""
        with self._lock:
            if not self._admitted(packet):
                return False
            buffer = self._gstreamer.gst.Buffer.new_wrapped(move_aud_to_end(packet.data))
            buffer.pts = buffer.dts = self._clock.pts(packet.captured_at, self._source)
            accepted = self._source.emit("push-buffer", buffer)
        return bool(accepted == self._gstreamer.gst.FlowReturn.OK)

    def factory(self) -> Any:
        """Creates the GstRTSPMediaFactory, which makes one media for all viewers of this camera."""
        factory = self._factory = media_factory(self._gstreamer, self._later)
        factory.set_launch(LAUNCH)
        factory.set_shared(True)
        factory.set_latency(0)
        lower = self._gstreamer.rtsp.RTSPLowerTrans
        factory.set_protocols(lower.TCP | lower.UDP)  # no multicast: the viewer would choose the destination address
        factory.set_suspend_mode(self._gstreamer.rtsp_server.RTSPSuspendMode.NONE)
        factory.connect("media-configure", self._opened)
        return factory

    def viewer_plays(self, viewer: int) -> None:
        """A viewer, identified by any unique number, started to play."""
        with self._lock:
            if not self._viewers:
                self._clock.reset()
            self._viewers.add(viewer)
            self._gate.played()

    def viewer_left(self, viewer: int) -> None:
        """The viewer paused, tore down or disconnected. Ignores unknown viewers."""
        with self._lock:
            self._viewers.discard(viewer)
            if not self._viewers:
                self._gate.paused()

    def end(self) -> None:
        """Signals the end of the stream to the viewers."""
        with self._lock:
            if self._source is not None:
                self._source.emit("end-of-stream")
                self._gate.closed()
        if self._factory is not None:
            self._factory.holds.end()

    def _admitted(self, packet: Packet) -> bool:
        """Decides whether to send the packet. Counts those that playing viewers miss: packets while the server is
        behind, and then those that cannot be decoded."""
        if self._source is None:  # no media, even if a viewer's PLAY is just ending
            return False
        if self._gate.playing and self._source.get_property("current-level-time") > _MOST_BEHIND:
            self._behind = True
        elif self._behind:
            self._behind = False
            self._gate.goes_on()
        admitted = not self._behind and self._gate.admit(packet.keyframe)
        self._catching_up = self._gate.playing and not admitted and (self._behind or self._catching_up)
        self._skipped += self._catching_up
        return admitted

    def _opened(self, _factory: Any, media: Any) -> None:
        media.connect("unprepared", self._closed)
        with self._lock:
            self._media = media
            self._source = media.get_element().get_child_by_name("packets")
            self._clock = MediaClock()
            self._gate.opened()

    def _closed(self, media: Any) -> None:
        with self._lock:
            if media is not self._media:
                return
            self._media = self._source = None
            self._viewers.clear()
            self._gate.closed()


class MediaClock:
    """Converts capture times to a media's running time, so that RTP timestamps are as even as the captures.

    Arrival times would pass the jitter of inference and encoding on to every player.
    """

    def __init__(self) -> None:
        self._offset: int | None = None
        self._last = -1

    def reset(self) -> None:
        """Re-reads the running time at the next packet: the pipeline may have stalled."""
        self._offset = None

    def pts(self, captured_at: float, element: Any) -> int:
        """Running time in nanoseconds, strictly increasing. 0 until the pipeline runs or if the frame is older than it;
        never in the future, which would make a sink wait."""
        if self._offset is None:
            base = element.get_base_time()
            clock = element.get_clock() if base else None
            if clock is not None:
                self._offset = clock.get_time() - base - time.monotonic_ns()
        running = 0 if self._offset is None else int(captured_at * 1e9) + self._offset
        self._last = max(running, self._last + 1, 0)
        return self._last
