"""One camera's RTSP stream: packets encoded once go to every viewer, from a key frame on."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from sightd.daemon.encode.encoder import Packet
from sightd.daemon.serve.rtsp.gstreamer import GStreamer
from sightd.daemon.serve.rtsp.media import Later, media_factory

log = logging.getLogger(__name__)

_START = b"\x00\x00\x01"
_DELIMITER_TYPE = 9
_DELIMITER = b"\x00\x00\x00\x01\x09\xf0"


def move_aud_to_end(access_unit: bytes) -> bytes:
    """Moves the access unit delimiter (ITU-T H.264, 7.3.2.4) of Annex B H.264 from the start to the end.

    Parsers such as FFmpeg's consider a frame complete only when the next one begins: one frame interval late, 40 ms at
    25 fps. The next frame begins with its delimiter, so that is sent with this frame. The byte stream is the same
    except for its first and last six bytes. FFmpeg reads timestamps one frame earlier, and reports the last delimiter
    of a stream, which no frame follows, as invalid data.
    """
    first = access_unit.find(_START)
    if first >= 0 and len(access_unit) > first + 3 and access_unit[first + 3] & 0x1F == _DELIMITER_TYPE:
        following = access_unit.find(_START, first + 4)
        if following < 0:
            return access_unit
        access_unit = b"\x00" + access_unit[following:]
    return access_unit + _DELIMITER


class KeyframeGate:
    """Decides packet by packet, for one camera.

    Without viewers, nothing passes. While a media is being prepared, or all its viewers pause, only key frames pass: it
    needs one to describe itself, and whatever is queued when it starts can be decoded. Once a viewer plays, packets
    pass from the next key frame on. A viewer who joins later requests a key frame and delays nobody.
    """

    def __init__(self) -> None:
        self.wanted = False
        self._playing = False
        self._needs_key = True
        self._key_request = False

    def opened(self) -> None:
        """A new media was created: a viewer is about to watch."""
        self.wanted, self._playing = True, False
        self._ask()

    def closed(self) -> None:
        """The media has ended, and the last viewer has left."""
        self.wanted, self._playing, self._key_request = False, False, False

    def played(self) -> None:
        """A viewer started to play, either the first or a later one."""
        if self._playing:
            self._key_request = True
        else:
            self._playing = True
            self._ask()

    def paused(self) -> None:
        """The last playing viewer left or paused."""
        self._playing = False

    def admit(self, keyframe: bool) -> bool:
        """Whether this packet goes to the viewers."""
        if not self.wanted:
            return False
        if keyframe:
            self._needs_key = False
            return True
        return self._playing and not self._needs_key

    def goes_on(self) -> None:
        """Packets were dropped and delivery resumes: nothing is decodable before a key frame, which is requested."""
        self._ask()

    @property
    def playing(self) -> bool:
        """Whether any viewer is playing."""
        return self._playing

    def take_key_request(self) -> bool:
        """Returns True once per key frame request."""
        asked, self._key_request = self._key_request, False
        return asked

    def _ask(self) -> None:
        self._needs_key = self._key_request = True


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
