"""The audio track of a recording: AAC and Opus as received, G.711 encoded as AAC, which MP4 players support."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from typing import Any, Literal

import av

from sightd.daemon.capture.audio import AudioFormat
from sightd.daemon.recording.clock import TICKS, TIME_BASE

_G711_RATE = 8_000
_SILENCE = {"pcm_alaw": b"\xd5", "pcm_mulaw": b"\xff"}
"""A sample of silence."""
_AAC_RATE = 16_000
"""Sample rate of encoded G.711, in Hz: many players do not support AAC at 8 kHz."""
_AAC_BITS = 32_000
_MOST_SILENCE = 10.0
"""Seconds of a gap that are filled with silence; after a longer one, encoding starts again."""
_TOLERANCE = 0.06
"""Seconds by which times of G.711 may differ from the number of samples."""


def stored_codec(audio: AudioFormat) -> str:
    """Returns the codec with which audio is stored."""
    return "opus" if audio.codec == "opus" else "aac"


class AudioTrack:
    """Adds audio to a file that is being written. Times are in ticks since its first frame."""

    def __init__(self, container: av.container.OutputContainer, audio: AudioFormat) -> None:
        """Adds a stream to `container`, whose header is not written yet. Raises av.FFmpegError."""
        self._encoder = _AacEncoder(audio.codec) if audio.codec not in ("aac", "opus") else None
        rate, channels = (audio.rate, audio.channels) if self._encoder is None else (_AAC_RATE, 1)
        with av.open(io.BytesIO(_example(stored_codec(audio), rate, channels)), "r") as example:
            self._stream = container.add_stream_from_template(example.streams.audio[0])
        if audio.configuration:
            self._stream.codec_context.extradata = audio.configuration
        self._stream.time_base = TIME_BASE
        self._last = -1

    def packets(self, data: bytes, at: int) -> Iterator[av.Packet[Any]]:
        """Yields what is to be written for a received packet. What was before the first frame is left out, and the
        order of times is kept."""
        parts = [(data, at)] if self._encoder is None else self._encoder.encode(data, at)
        for part, time in parts:
            if time <= self._last:
                continue
            self._last = time
            packet: av.Packet[Any] = av.Packet(part)
            packet.pts = packet.dts = time
            packet.time_base, packet.stream, packet.is_keyframe = TIME_BASE, self._stream, True
            yield packet


class _AacEncoder:
    """Encodes G.711 (8 kHz, mono) as AAC; `law` is FFmpeg's name."""

    def __init__(self, law: str) -> None:
        self._law = law
        self._expected: float | None = None
        """When the next sample is due, in ticks."""

    def encode(self, data: bytes, at: int) -> list[tuple[bytes, int]]:
        """Returns frames and their times in ticks, for samples that begin `at`."""
        gap = 0.0 if self._expected is None else (at - self._expected) / TICKS
        if self._expected is None or not -_MOST_SILENCE < gap < _MOST_SILENCE:
            self._begin(at)
        elif gap > _TOLERANCE:
            self._push(_SILENCE[self._law] * round(gap * _G711_RATE))
        elif gap < -_TOLERANCE:
            return self._encoded()  # its time is shown already
        self._push(data)
        return self._encoded()

    def _begin(self, at: int) -> None:
        self._decoder, encoder = _context(self._law, "r"), _context("aac", "w")
        self._decoder.sample_rate, self._decoder.layout = _G711_RATE, "mono"
        encoder.sample_rate, encoder.layout, encoder.format = _AAC_RATE, "mono", "fltp"
        encoder.bit_rate, encoder.time_base = _AAC_BITS, Fraction(1, _AAC_RATE)
        encoder.open()
        self._coder = encoder
        self._resampler = av.AudioResampler("fltp", "mono", _AAC_RATE, frame_size=encoder.frame_size)
        self._origin, self._samples, self._expected = at, 0, float(at)
        self._found: list[tuple[bytes, int]] = []

    def _push(self, data: bytes) -> None:
        for frame in self._decoder.decode(av.Packet(data)):
            frame.pts, frame.time_base = self._samples, Fraction(1, _G711_RATE)
            self._samples += frame.samples
            for piece in self._resampler.resample(frame):
                for packet in self._coder.encode(piece):
                    time = self._origin + round((packet.pts or 0) * TICKS / _AAC_RATE)
                    self._found.append((bytes(packet), time))
        self._expected = self._origin + self._samples * TICKS / _G711_RATE

    def _encoded(self) -> list[tuple[bytes, int]]:
        found, self._found = self._found, []
        return found


def _context(codec: str, mode: Literal["r", "w"]) -> av.AudioCodecContext:
    context = av.AudioCodecContext.create(codec, mode)
    assert isinstance(context, av.AudioCodecContext)
    return context


@cache
def _example(codec: str, rate: int, channels: int) -> bytes:
    """Returns a file with a stream of that format."""
    file, layout = io.BytesIO(), "mono" if channels == 1 else "stereo"
    with av.open(file, "w", format="matroska") as container:
        stream = container.add_stream("libopus" if codec == "opus" else "aac", rate=rate)
        assert isinstance(stream, av.AudioStream)
        stream.codec_context.layout = layout
        container.start_encoding()
        context = stream.codec_context
        frame = av.AudioFrame(format=context.format.name, layout=layout, samples=context.frame_size)
        frame.sample_rate, frame.pts = rate, 0
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return file.getvalue()
