"""A camera's video for viewers in browsers: as all viewers see it, and as the camera sends it. Others encode; packets
are only passed on."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from sightd.daemon.capture.audio import AudioFormat
from sightd.daemon.capture.packets import RECORDABLE, ReceivedPacket
from sightd.daemon.encode.encoder import Packet

ViewName = Literal["annotated", "clean"]
ViewerProtocol = Literal["webrtc", "mse"]
VIEWER_PROTOCOLS: tuple[ViewerProtocol, ...] = ("webrtc", "mse")

_KEY_INTERVAL = 0.25
"""Seconds between two key frames that viewers request."""
_MOST_GROUP = 4 << 20
"""Bytes of packets kept since the last key frame; a longer group has no late joiners."""
_MOST_LAG = 0.5
"""Seconds by which a camera's clock may fall behind its packets' arrival before it is read again."""


class VideoReceiver(Protocol):
    """Distributes packets to viewers. All methods are called from the camera's threads, with a lock held: they must not
    block, raise, or call the video."""

    def receive(self, packet: ReceivedPacket) -> None:
        """Takes the next packet. Its `pts` is when its frame was captured, in monotonic s; never None."""
        ...

    def restart(self) -> None:
        """The next packet does not continue the last: nothing is decodable before a key frame."""
        ...

    def end(self) -> None:
        """The video ends for all viewers."""
        ...


class LiveVideo:
    """One view of one camera. Thread-safe."""

    view: ViewName

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._receivers: tuple[VideoReceiver, ...] = ()
        self._viewers: Counter[ViewerProtocol] = Counter()
        self._ended = False

    @property
    def codec(self) -> str | None:
        """FFmpeg's name of the codec; None if there is no connection to the camera."""
        raise NotImplementedError

    @property
    def reordered(self) -> bool:
        """Whether frames are sent in another order than shown (B-frames)."""
        raise NotImplementedError

    def add(self, receiver: VideoReceiver) -> Sequence[ReceivedPacket]:
        """Passes packets on from now on. Returns those that it can begin with, from the last key frame on, if they are
        kept; otherwise a key frame follows."""
        with self._lock:
            if self._ended:
                receiver.end()
            else:
                self._receivers = (*self._receivers, receiver)
            return self._begin()

    def remove(self, receiver: VideoReceiver) -> None:
        """Ignores receivers that were not added."""
        with self._lock:
            self._receivers = tuple(one for one in self._receivers if one is not receiver)

    def request_keyframe(self) -> None:
        """Asks for a key frame now, if the view can have one."""

    def joined(self, protocol: ViewerProtocol, viewers: int = 1) -> None:
        """Counts viewers who joined; those who left with -1."""
        with self._lock:
            self._viewers[protocol] += viewers

    def viewers(self, protocol: ViewerProtocol) -> int:
        return self._viewers[protocol]

    def end(self) -> None:
        """Ends the video for its viewers, and for those who come later. Idempotent."""
        with self._lock:
            self._ended = True
            receivers, self._receivers = self._receivers, ()
            for one in receivers:
                one.end()

    def disconnect(self) -> None:
        """Ends the video for its present viewers."""
        with self._lock:
            receivers, self._receivers = self._receivers, ()
            for one in receivers:
                one.end()

    def _begin(self) -> Sequence[ReceivedPacket]:
        return ()

    def _pass_on(self, packet: ReceivedPacket) -> None:
        for one in self._receivers:
            one.receive(packet)


class AnnotatedVideo(LiveVideo):
    """What all viewers see: the packets that RTSP viewers get. A `PacketConsumer`: the encoder runs while anybody
    watches."""

    view: ViewName = "annotated"
    codec = "h264"
    reordered = False

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._key_request = False
        self._key_at = float("-inf")
        self._newest = 0.0

    @property
    def wanted(self) -> bool:
        return bool(self._receivers)

    def request_keyframe(self) -> None:
        self._key_request = True

    def take_keyframe_request(self) -> bool:
        """Returns True once per request; requests that follow each other too fast share one."""
        if not self._key_request or self._clock() - self._key_at < _KEY_INTERVAL:
            return False
        self._key_request, self._key_at = False, self._clock()
        return True

    def push(self, packet: Packet) -> bool:
        """Passes a packet on. The first frame after the slate may be older than that: times never go back."""
        self._newest = at = max(self._newest, packet.captured_at)
        with self._lock:
            self._pass_on(ReceivedPacket(packet.data, at, at, packet.keyframe, at))
            return bool(self._receivers)

    def _begin(self) -> Sequence[ReceivedPacket]:
        self._key_request = True
        return ()


class CleanVideo(LiveVideo):
    """What the camera sends, neither decoded nor encoded. A `PacketObserver`, which the feed's thread calls."""

    view: ViewName = "clean"
    wants_audio = False

    def __init__(self) -> None:
        super().__init__()
        self._codec: str | None = None
        self._reordered = False
        self._offset: float | None = None
        self._newest = 0.0
        self._group: list[ReceivedPacket] = []
        self._group_bytes = 0
        self.redacted = False
        """Whether the camera's chain redacts, so that this view shows what others must not see."""
        self.allowed = True
        """Whether the configuration allows the view although the chain redacts."""

    @property
    def codec(self) -> str | None:
        return self._codec

    @property
    def reordered(self) -> bool:
        return self._reordered

    def stream_opened(self, codec: str, audio: AudioFormat | None = None) -> None:
        with self._lock:
            self._codec, self._reordered, self._offset = codec, False, None
            self._forget()

    def packet_received(self, packet: ReceivedPacket) -> None:
        if packet.audio or self._codec not in RECORDABLE:
            return
        if self._codec == "h264" and not self._reordered and is_bidirectional(packet.data):
            self._reordered = True
        passed = self._timed(packet)
        with self._lock:
            self._keep(passed)
            self._pass_on(passed)

    def stream_closed(self) -> None:
        with self._lock:
            self._codec = None
            self._forget()

    def _forget(self) -> None:
        self._group, self._group_bytes = [], 0
        for one in self._receivers:
            one.restart()

    def _keep(self, packet: ReceivedPacket) -> None:
        if packet.key:
            self._group, self._group_bytes = [], 0
        elif not self._group:
            return
        self._group.append(packet)
        self._group_bytes += len(packet.data)
        if self._group_bytes > _MOST_GROUP:
            self._group, self._group_bytes = [], 0

    def _begin(self) -> Sequence[ReceivedPacket]:
        return tuple(self._group)

    def _timed(self, packet: ReceivedPacket) -> ReceivedPacket:
        """Returns the packet with its times in monotonic s: even as the camera's clock, never in the future."""
        at, stated = packet.received_at, packet.pts
        if stated is None:
            return ReceivedPacket(packet.data, at, at, packet.key, at)
        lag = None if self._offset is None else at - (stated + self._offset)
        if self._offset is None or lag is None or not 0 <= lag <= _MOST_LAG:
            self._offset = at - stated
        dts = None if packet.dts is None else packet.dts + self._offset
        return ReceivedPacket(packet.data, stated + self._offset, dts, packet.key, at)


class CameraVideo:
    """Both views of a camera. They last as long as it is configured, running or not, so viewers stay connected."""

    def __init__(self) -> None:
        self.annotated, self.clean = AnnotatedVideo(), CleanVideo()

    def view(self, name: ViewName) -> LiveVideo:
        return self.annotated if name == "annotated" else self.clean

    def viewers(self, protocol: ViewerProtocol) -> int:
        return self.annotated.viewers(protocol) + self.clean.viewers(protocol)

    def restrict(self, *, redacted: bool, allowed: bool) -> None:
        """States whether the chain redacts, and whether the clean view is allowed even so. Disconnects its viewers if
        they may not be allowed to watch any more."""
        clean = self.clean
        tightened = (redacted and not clean.redacted) or (clean.allowed and not allowed)
        clean.redacted, clean.allowed = redacted, allowed
        if tightened:
            clean.disconnect()

    def end(self) -> None:
        self.annotated.end()
        self.clean.end()


_START = b"\0\0\1"
_B_SLICES = frozenset({1, 6})
_MOST_UNITS = 16


def is_bidirectional(unit: bytes) -> bool:
    """Returns whether an access unit of H.264 (Annex B) is a B-frame, by its first slice header (ITU-T H.264,
    7.3.3)."""
    at = unit.find(_START)
    for _ in range(_MOST_UNITS):
        if at < 0 or at + 4 >= len(unit):
            return False
        kind = unit[at + 3] & 31
        if kind in (1, 5):
            return kind == 1 and _slice_type(unit[at + 4 : at + 16]) in _B_SLICES
        at = unit.find(_START, at + 3)
    return False


def _slice_type(header: bytes) -> int:
    """Returns the second of the header's unsigned Exp-Golomb numbers; -1 if it is not complete."""
    bits = f"{int.from_bytes(header, 'big'):0{8 * len(header)}b}"
    at = value = 0
    for _ in range(2):
        zeros = bits.find("1", at) - at
        if zeros < 0 or at + 2 * zeros + 1 > len(bits):
            return -1
        at += zeros
        value = int(bits[at : at + zeros + 1], 2) - 1
        at += zeros + 1
    return value
