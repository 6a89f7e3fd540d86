"""From one rendered picture to everybody who watches: encoded once, and only while somebody does."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from prometheus_client import Histogram

from daemon.config.model import Output
from daemon.encode.choice import CodecChoice
from daemon.encode.codec import EncoderError
from daemon.encode.h264 import H264Encoder
from daemon.encode.jpeg import encode_jpeg
from daemon.metrics.camera import CameraMetrics
from daemon.serve.mjpeg import JpegStream
from daemon.serve.rtsp_stream import RtspStream
from plugins.types import Image


class Publisher:
    """Encodes a camera's pictures for RTSP and MJPEG viewers. Thread: the camera's output, for all but `wanted`."""

    def __init__(
        self,
        options: Output,
        codec: CodecChoice,
        rtsp: RtspStream | None,
        jpeg: JpegStream | None,
        metrics: CameraMetrics,
        stages: Mapping[str, Histogram],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options = options
        self._codec = codec
        self._rtsp = rtsp
        self._jpeg = jpeg
        self._metrics = metrics
        self._stages = stages
        self._clock = clock
        self._encoder: H264Encoder | None = None
        self._size = (0, 0)
        if rtsp is not None:
            metrics.clients["rtsp"].set_function(lambda: rtsp.clients)
        if jpeg is not None:
            metrics.clients["mjpeg"].set_function(lambda: jpeg.clients)

    @property
    def wanted(self) -> bool:
        """Whether a picture would be seen by anybody."""
        return (self._rtsp is not None and self._rtsp.wanted) or (self._jpeg is not None and self._jpeg.wanted)

    def publish(self, image: Image, captured_at: float, fps: float) -> None:
        """Hands a picture (BGR, even sides; the caller's again afterwards) to all viewers."""
        if self._rtsp is not None and self._rtsp.wanted:
            self._publish_h264(image, captured_at, fps, self._rtsp)
        else:
            self.rest()
        if self._jpeg is not None and self._jpeg.wanted:
            self._publish_jpeg(image, captured_at, self._jpeg)

    def rest(self) -> None:
        """Nobody watches: lets the encoder go."""
        if self._encoder is not None:
            self._encoder.close()
            self._encoder = None
            self._metrics.encoder_active.set(0)

    def _publish_h264(self, image: Image, captured_at: float, fps: float, stream: RtspStream) -> None:
        height, width = image.shape[:2]
        begun = self._clock()
        if self._encoder is None or self._size != (width, height):
            self.rest()
            self._encoder = H264Encoder(width, height, fps, self._options, self._codec.open)
            self._metrics.encoder(self._codec.name)
            self._size = (width, height)
            self._metrics.encoder_active.set(1)
        try:
            packets = self._encoder.encode(image, captured_at, stream.take_keyframe_request())
        except EncoderError as error:
            self._codec.failed(error)
            raise
        for packet in packets:
            if stream.push(packet):
                self._metrics.latency.observe(self._clock() - packet.captured_at)
        self._metrics.frames["encoded"].inc()
        self._stages["encode"].observe(self._clock() - begun)

    def _publish_jpeg(self, image: Image, captured_at: float, stream: JpegStream) -> None:
        begun = self._clock()
        stream.publish(encode_jpeg(image, self._options.jpeg_quality), captured_at)
        self._stages["jpeg"].observe(self._clock() - begun)
