"""A camera whose frames carry their number, encoded here with PyAV, and a player that reads the numbers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction

import av
import numpy as np
from av.video.frame import PictureType

from sightd.daemon.encode.encoder import Packet
from sightd.daemon.pipeline.publisher import PacketConsumer

WIDTH, HEIGHT, FPS = 640, 360, 25
_BITS, _BAR = 16, 20
_NOISE = np.random.default_rng(7).integers(0, 90, (HEIGHT, WIDTH, 3), np.uint8)
"""Gives packets the size of a real camera's, so that a stalled viewer's buffers fill within a second."""


class NumberedEncoder:
    """Encodes H.264 like the daemon: Annex B, delimiters, parameter sets before every key frame."""

    def __init__(self) -> None:
        self._context = context = av.CodecContext.create("libx264", "w")
        context.width, context.height, context.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        context.time_base, context.framerate = Fraction(1, 90000), Fraction(FPS)
        context.gop_size, context.max_b_frames, context.thread_count = 10 * FPS, 0, 1
        context.options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "profile": "baseline",
            "forced-idr": "1",
            "x264-params": "repeat-headers=1:aud=1:scenecut=0",
        }

    def encode(self, number: int, captured_at: float, keyframe: bool = False) -> list[Packet]:
        frame = av.VideoFrame.from_ndarray(picture(number), format="bgr24").reformat(format="yuv420p")
        frame.pts, frame.time_base = int(captured_at * 90000), self._context.time_base
        frame.pict_type = PictureType.I if keyframe else PictureType.NONE
        return [Packet(bytes(packet), captured_at, packet.is_keyframe) for packet in self._context.encode(frame)]


def picture(number: int) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    """Returns moving noise with the number's bits as a bar code, BGR."""
    image = np.roll(_NOISE, number * 7, axis=1)
    for bit in range(_BITS):
        image[:64, bit * _BAR : (bit + 1) * _BAR] = 255 * (number >> bit & 1)
    return image


def number_in(frame: av.VideoFrame) -> int:
    """Returns the number that `picture` drew."""
    grey = frame.to_ndarray(format="gray")
    return sum(int(grey[32, bit * _BAR + _BAR // 2] > 128) << bit for bit in range(_BITS))


class NumberedCamera:
    """Feeds a stream at 25 fps from its own thread, and encodes only while it is watched, like the daemon."""

    def __init__(self, stream: PacketConsumer) -> None:
        self.stream = stream
        self.captured: dict[int, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="numbered-camera", daemon=True)

    def __enter__(self) -> NumberedCamera:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5)

    def _run(self) -> None:
        encoder: NumberedEncoder | None = None
        begun, number = time.monotonic(), 0
        while not self._stop.wait(max(0.0, begun + number / FPS - time.monotonic())):
            number += 1
            if not self.stream.wanted:
                encoder = None
                continue
            encoder = encoder or NumberedEncoder()
            self.captured[number] = time.monotonic()
            for packet in encoder.encode(number, self.captured[number], self.stream.take_keyframe_request()):
                self.stream.push(packet)


@contextmanager
def player(url: str, transport: str = "tcp") -> Iterator[Iterator[av.VideoFrame]]:
    """Yields the frames of a stream as a player without a buffer sees them."""
    options = {"rtsp_transport": transport, "flags": "low_delay", "probesize": "32", "analyzeduration": "1"}
    with av.open(url, options={**options, "tls_verify": "0"}, timeout=(5.0, 5.0)) as container:
        video = container.streams.video[0]
        video.thread_type = "NONE"
        yield container.decode(video)


def until_the_end(frames: Iterator[av.VideoFrame]) -> None:
    """Reads until the server ends the stream, which FFmpeg may report as invalid data (daemon.serve.delimiter)."""
    with suppress(av.error.InvalidDataError):
        for _ in frames:
            pass


def watch(url: str, frames: int, transport: str = "tcp") -> list[int]:
    """Returns the numbers of the first frames."""
    with player(url, transport) as decoded:
        return [number_in(frame) for _, frame in zip(range(frames), decoded, strict=False)]
