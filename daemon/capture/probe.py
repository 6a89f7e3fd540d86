"""Tries a camera's address for some seconds: a picture and the facts of its stream, or the reason why there is none."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import cv2
import numpy as np

from sightd.daemon.capture.audio import AudioFormat
from sightd.daemon.capture.decoding import DecodedFrame
from sightd.daemon.capture.errors import Reason, SourceError, fault_of, hiding
from sightd.daemon.capture.feed import open_stream
from sightd.daemon.capture.packets import ReceivedPacket
from sightd.daemon.capture.stream import Clock, Gap, Playback, Stream
from sightd.daemon.config.model import Camera
from sightd.daemon.config.source import Source, source_of
from sightd.plugins.api import Image

OPENING = 8.0
"""Seconds that opening may take; some recorders start a stream only then."""
WATCHING = 5.0
"""Seconds to watch an open stream: that long a key-frame interval can be measured."""
_ENOUGH = 1.0
"""Seconds of frames from which the frame rate is measured, if nothing else is missing."""
_WIDEST = 1280
_QUALITY = 80


@dataclass(frozen=True, slots=True)
class Probed:
    """What was seen. `jpeg` is the first intact frame, at most 1280 pixels wide; `size` is (width, height) of the
    stream. `codec` is FFmpeg's name. `fps` is None if fewer than two frames came; `key_interval`, in s, is None if
    fewer than two key frames came, and for codecs without any. `audio` is the sound that can be recorded."""

    jpeg: bytes
    size: tuple[int, int]
    codec: str | None
    fps: float | None
    key_interval: float | None
    audio: AudioFormat | None


def probe(options: Camera, cancelled: threading.Event | None = None) -> Probed:
    """Opens a camera, watches it and closes it, within about OPENING + WATCHING s; ends sooner if `cancelled` is set.

    Raises SourceError, whose text contains no password, or InvalidSourceError."""
    source = source_of(options)
    stopping = cancelled or threading.Event()
    packets = _Packets()
    playback = Playback(Clock(), stopping.wait, packets=packets)
    try:
        stream = open_stream(source, playback, min(OPENING, source.open_timeout or OPENING))
        with closing(stream):
            return _watched(stream, playback, packets)
    except Exception as failure:  # noqa: BLE001 — whatever FFmpeg raises
        raise hiding(fault_of(failure), _password(source)) from None


def _watched(stream: Stream, playback: Playback, packets: _Packets) -> Probed:
    times: list[float] = []
    picture: Image | None = None
    for decoded in _until_enough(stream, playback, packets, times):
        if picture is None and not decoded.corrupt:
            picture = decoded.decode()
        times.append(decoded.captured_at if decoded.pts is None else decoded.pts)
    if picture is None:
        raise SourceError(Reason.DECODE if packets.codec is not None else Reason.NO_VIDEO)
    lasted = times[-1] - times[0]
    height, width = picture.shape[:2]
    fps = round((len(times) - 1) / lasted, 2) if len(times) > 1 and lasted > 0 else None
    return Probed(_jpeg(picture), (width, height), packets.codec, fps, packets.key_interval, packets.audio)


def _until_enough(stream: Stream, playback: Playback, packets: _Packets, times: list[float]) -> Iterator[DecodedFrame]:
    """Yields frames until all is known that can be, or the time is over."""
    now = playback.clock.monotonic
    until = now() + WATCHING
    for decoded in stream.frames():
        if isinstance(decoded, Gap):
            if not times and now() > until:
                return
        else:
            yield decoded
        measured = len(times) > 1 and times[-1] - times[0] >= _ENOUGH
        if times and (now() > until or (measured and (packets.key_interval is not None or not packets.has_keys))):
            return


class _Packets:
    """Observes a stream that is probed; see `PacketObserver`."""

    wants_audio = True

    def __init__(self) -> None:
        self.codec: str | None = None
        self.audio: AudioFormat | None = None
        self._keys: list[float] = []

    @property
    def has_keys(self) -> bool:
        """Whether the stream has key frames among others."""
        return bool(self._keys)

    @property
    def key_interval(self) -> float | None:
        return round(self._keys[1] - self._keys[0], 3) if len(self._keys) > 1 else None

    def stream_opened(self, codec: str, audio: AudioFormat | None) -> None:
        self.codec, self.audio = codec, audio

    def packet_received(self, packet: ReceivedPacket) -> None:
        if packet.key and len(self._keys) < 2:
            self._keys.append(packet.received_at if packet.pts is None else packet.pts)

    def stream_closed(self) -> None: ...


def _jpeg(picture: Image) -> bytes:
    height, width = picture.shape[:2]
    if width > _WIDEST:
        size = (_WIDEST, round(height * _WIDEST / width))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    assert done
    return data.tobytes()


def _password(source: Source) -> str:
    return unquote(urlsplit(source.address).password or "") if "://" in source.address else ""
