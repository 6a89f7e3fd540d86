"""Encodes each rendered image once for all viewers and recordings, and only while anybody needs it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from prometheus_client import Histogram

from sightd.daemon.config.model import Output
from sightd.daemon.encode.choice import CodecChoice
from sightd.daemon.encode.codecs import EncoderError
from sightd.daemon.encode.encoder import H264Encoder, Packet, encode_jpeg
from sightd.daemon.metrics.camera import CameraMetrics
from sightd.engines.cuda.image import DeviceImage
from sightd.plugins.api import Image

_IN_A_ROW = 50
"""Consecutive images on a GPU after which an encoder that downloads them is replaced by one that reads them there. If a
plug-in fetches some of them, a new encoder for each change would cost more, and viewers a key frame each."""


class PacketConsumer(Protocol):
    """Takes a camera's H.264 packets. Never blocks."""

    @property
    def wanted(self) -> bool:
        """Whether packets are needed."""
        ...

    def take_keyframe_request(self) -> bool:
        """Returns True once per key frame that is needed: encode the next frame as one."""
        ...

    def push(self, packet: Packet) -> bool:
        """Takes a packet; returns False if nobody gets it."""
        ...


class PacketSink(PacketConsumer, Protocol):
    """Sends the packets to viewers by RTSP, as `daemon.serve` does. A new viewer needs a key frame first."""

    @property
    def clients(self) -> int:
        """Number of viewers."""
        ...

    @property
    def skipped(self) -> int:
        """Packets that viewers did not get because the server was behind."""
        ...


class JpegSink(Protocol):
    """Takes a camera's JPEG images, as `daemon.serve` does for MJPEG. Never blocks."""

    @property
    def wanted(self) -> bool:
        """Whether an image made now would be used."""
        ...

    @property
    def clients(self) -> int:
        """Number of viewers."""
        ...

    def publish(self, jpeg: bytes, captured_at: float) -> None:
        """Replaces the image."""
        ...


class Publisher:
    """Encodes a camera's images for its viewers, and for its recordings. Thread: the camera's output, except
    for `wanted`."""

    def __init__(
        self,
        options: Output,
        codec: CodecChoice,
        rtsp: PacketSink | None,
        jpeg: JpegSink | None,
        metrics: CameraMetrics,
        stages: Mapping[str, Histogram],
        clock: Callable[[], float] = time.monotonic,
        *,
        browsers: PacketConsumer | None = None,
        recording: PacketConsumer | None = None,
    ) -> None:
        """`browsers` and `recording` get the packets that RTSP viewers get; while they want them, the encoder runs."""
        self._options = options
        self._codec = codec
        self._rtsp = rtsp
        self._h264: Sequence[PacketConsumer] = [one for one in (rtsp, browsers, recording) if one is not None]
        self._recording = recording
        self._jpeg = jpeg
        self._metrics = metrics
        self._stages = stages
        self._clock = clock
        self._encoder: H264Encoder | None = None
        self._size = (0, 0)
        self._on_gpu_in_a_row = 0
        self._told_codec = ""
        if rtsp is not None:
            metrics.clients["rtsp"].set_function(lambda: rtsp.clients)
        if jpeg is not None:
            metrics.clients["mjpeg"].set_function(lambda: jpeg.clients)

    @property
    def wanted(self) -> bool:
        """Whether anybody would see an image, now or in a recording."""
        return any(one.wanted for one in self._h264) or (self._jpeg is not None and self._jpeg.wanted)

    def publish(self, image: Image | DeviceImage, captured_at: float, fps: float) -> None:
        """Sends an image with even sides to all viewers and recordings. The caller may reuse a BGR image afterwards.
        The image may be on a GPU."""
        if consumers := [one for one in self._h264 if one.wanted]:
            self._publish_h264(image, captured_at, fps, consumers)
        else:
            self.rest()
        if self._jpeg is not None and self._jpeg.wanted:
            self._publish_jpeg(image, captured_at, self._jpeg)

    def rest(self) -> None:
        """Releases the encoder, for example because nobody watches."""
        if self._encoder is not None:
            self._encoder.close()
            self._encoder = None
            self._metrics.encoder_active.set(0)

    def _publish_h264(
        self, image: Image | DeviceImage, captured_at: float, fps: float, consumers: Sequence[PacketConsumer]
    ) -> None:
        begun = self._clock()
        requests = [one.take_keyframe_request() for one in consumers]
        encoder = self._encoder_for(image, fps)
        try:
            packets = encoder.encode(image, captured_at, any(requests))
        except EncoderError as error:
            if not self._codec.failed(error):
                raise
            self.rest()
            packets = self._encoder_for(image, fps).encode(image, captured_at)
        self._codec.succeeded()
        if self._codec.name != self._told_codec:
            self._told_codec = self._codec.name
            self._metrics.encoder(self._told_codec)
        for packet in packets:
            self._push(packet, consumers)
        self._metrics.frames["encoded"].inc()
        self._stages["encode"].observe(self._clock() - begun)

    def _push(self, packet: Packet, consumers: Sequence[PacketConsumer]) -> None:
        """Passes a packet on. Delay and skipped packets are those of viewers."""
        skipped = 0 if self._rtsp is None else self._rtsp.skipped
        pushed = [one.push(packet) and one is not self._recording for one in consumers]
        if any(pushed):
            self._metrics.latency.observe(self._clock() - packet.captured_at)
        if self._rtsp is not None:
            self._metrics.skipped.inc(self._rtsp.skipped - skipped)

    def _encoder_for(self, image: Image | DeviceImage, fps: float) -> H264Encoder:
        """Returns the current encoder, or a new one if the current one cannot take the image or another is faster."""
        on_gpu = isinstance(image, DeviceImage)
        size = _size_of(image)
        self._on_gpu_in_a_row = self._on_gpu_in_a_row + 1 if on_gpu else 0
        encoder = self._encoder
        if encoder is not None and size == self._size:
            outgrown = self._on_gpu_in_a_row == _IN_A_ROW and self._codec.name == "nvenc"
            if encoder.in_place == on_gpu or (on_gpu and not outgrown):
                return encoder
        self.rest()
        open_codec = self._codec.open_on_gpu if on_gpu else self._codec.open
        self._encoder = H264Encoder(*size, fps, self._options, open_codec)
        self._size = size
        self._metrics.encoder_active.set(1)
        return self._encoder

    def _publish_jpeg(self, image: Image | DeviceImage, captured_at: float, stream: JpegSink) -> None:
        begun = self._clock()
        on_host = image.bgr() if isinstance(image, DeviceImage) else image
        stream.publish(encode_jpeg(on_host, self._options.jpeg_quality), captured_at)
        self._stages["jpeg"].observe(self._clock() - begun)


def _size_of(image: Image | DeviceImage) -> tuple[int, int]:
    """Returns width and height."""
    if isinstance(image, DeviceImage):
        return image.picture.width, image.picture.height
    return image.shape[1], image.shape[0]
