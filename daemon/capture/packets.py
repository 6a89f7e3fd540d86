"""Received packets, as an observer of a feed gets them before they are decoded."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple, Protocol

import av

from sightd.daemon.capture.audio import AudioFormat, audio_of, without_adts

RECORDABLE = frozenset({"h264", "hevc"})
"""FFmpeg's names of the codecs whose packets are passed on: H.264 and H.265."""
_AVCC = 1
"""First byte of parameter sets as stored in MP4; those in Annex B begin with a start code."""


class ReceivedPacket(NamedTuple):
    """An access unit of H.264 or H.265 in Annex B, as the camera sent it, or audio: a frame of AAC without a header, of
    Opus, or samples of G.711.

    `pts` and `dts` are in s of the stream's own clock, None if it does not state them. `key`: it can be decoded without
    those before it; False for audio. `received_at` is in monotonic s.

    A tuple, because it is made for each packet: a frozen dataclass takes ten times as long.
    """

    data: bytes
    pts: float | None
    dts: float | None
    key: bool
    received_at: float
    audio: bool = False


_PREFIX = b"\0\0\1"
_START = b"\0" + _PREFIX
_MOST_UNITS = 64
"""NAL units of an access unit that are examined: only a few precede the image."""


def parameter_sets(codec: str, unit: bytes) -> bytes:
    """Returns the parameter sets at the beginning of an access unit (Annex B) of H.264 or HEVC, in order, each once and
    after a start code; empty if there are none."""
    found: list[bytes] = []
    end = unit.find(_PREFIX)
    for _ in range(_MOST_UNITS):
        if end < 0 or (begin := end + len(_PREFIX)) == len(unit):
            break
        if unit.startswith(_PREFIX, begin):  # nothing between two start codes
            end = begin
            continue
        kind = unit[begin] & 31 if codec == "h264" else unit[begin] >> 1 & 63
        if kind in ((1, 5) if codec == "h264" else range(32)):  # the image itself, which is long
            break
        end = unit.find(_PREFIX, begin)
        if kind in ((7, 8) if codec == "h264" else (32, 33, 34)):
            found.append(_START + unit[begin : len(unit) if end < 0 else end].rstrip(b"\0"))
    return b"".join(dict.fromkeys(found))


class KeyFrames:
    """Completes key frames with the parameter sets that a stream states only once, or elsewhere: each can then be
    played without what came before it."""

    def __init__(self, codec: str, stated: bytes | None) -> None:
        """`stated` are the parameter sets (Annex B) that the stream's description contains, if any."""
        self._codec = codec
        self._known = stated if stated is not None and stated.startswith((_START, _START[1:])) else b""

    def complete(self, unit: bytes) -> bytes:
        """Returns a key frame with parameter sets, if they are known."""
        if own := parameter_sets(self._codec, unit):
            self._known = own
            return unit
        return self._known + unit


class PacketObserver(Protocol):
    """Receives a camera's packets in the order in which they arrive. Called from the feed's thread; must not block or
    raise."""

    @property
    def wants_audio(self) -> bool: ...

    def stream_opened(self, codec: str, audio: AudioFormat | None) -> None:
        """A connection was opened; `codec` is FFmpeg's name. Packets follow if it is one of `RECORDABLE`, among them
        those of `audio`, if any. The clock of earlier packets does not apply to them."""
        ...

    def packet_received(self, packet: ReceivedPacket) -> None: ...

    def stream_closed(self) -> None:
        """The connection has ended; nothing follows until the next one is opened."""
        ...


class PacketObservers:
    """Several observers as one. Audio goes to those that want it."""

    def __init__(self, observers: Sequence[PacketObserver]) -> None:
        self._observers = observers

    @property
    def wants_audio(self) -> bool:
        return any(one.wants_audio for one in self._observers)

    def stream_opened(self, codec: str, audio: AudioFormat | None) -> None:
        for one in self._observers:
            one.stream_opened(codec, audio if one.wants_audio else None)

    def packet_received(self, packet: ReceivedPacket) -> None:
        for one in self._observers:
            if one.wants_audio or not packet.audio:
                one.packet_received(packet)

    def stream_closed(self) -> None:
        for one in self._observers:
            one.stream_closed()


def recordable_audio(container: av.container.InputContainer, observer: PacketObserver | None) -> av.AudioStream | None:
    """Returns the first audio stream that can be passed on; None if there is none, or the observer wants none."""
    if observer is None or not observer.wants_audio:
        return None
    known = (stream for stream in container.streams.audio if stream.codec_context is not None)
    return next((stream for stream in known if audio_of(stream) is not None), None)


class ContainerPackets:
    """Passes the packets of a container's streams on to an observer. Each is copied once, because decoding may empty
    it."""

    def __init__(
        self, observer: PacketObserver, video: av.VideoStream, audio: av.AudioStream | None, *, timed: bool
    ) -> None:
        """`timed`: the container states times; otherwise FFmpeg counts frames. `audio` is one that `recordable_audio`
        returned."""
        context = video.codec_context
        self._observer, self._timed, self._units = observer, timed, None
        self._passes = context.name in RECORDABLE
        if self._passes and context.extradata and context.extradata[0] == _AVCC:
            self._units = av.BitStreamFilterContext(f"{context.name}_mp4toannexb", video)
        self._key_frames = KeyFrames(context.name, context.extradata)
        observer.stream_opened(context.name, None if audio is None else audio_of(audio))

    def received(self, packet: av.Packet[Any], received_at: float) -> None:
        """Passes a packet on, unless it cannot be converted: the decoder reports such damage."""
        if not self._passes or packet.size == 0:
            return
        pts, dts = (_seconds(packet.pts, packet), _seconds(packet.dts, packet)) if self._timed else (None, None)
        if packet.stream.type == "audio":
            data = without_adts(bytes(packet))
            self._observer.packet_received(ReceivedPacket(data, pts, None, False, received_at, audio=True))
            return
        try:
            data = self._annex_b(packet)
        except (av.error.InvalidDataError, av.error.ArgumentError):
            return
        if packet.is_keyframe:
            data = self._key_frames.complete(data)
        self._observer.packet_received(ReceivedPacket(data, pts, dts, packet.is_keyframe, received_at))

    def _annex_b(self, packet: av.Packet[Any]) -> bytes:
        if self._units is None:
            return bytes(packet)
        copy: av.Packet[Any] = av.Packet(bytes(packet))
        copy.is_keyframe = packet.is_keyframe
        return b"".join(bytes(unit) for unit in self._units.filter(copy))


def _seconds(ticks: int | None, packet: av.Packet[Any]) -> float | None:
    base: Fraction | None = packet.time_base
    return None if ticks is None or base is None else float(ticks * base)
