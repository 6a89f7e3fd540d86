"""Selects the codec that encodes a camera's H.264, and explains why."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import Literal

from av.video.codeccontext import VideoCodecContext

from sightd.daemon.config.model import Output
from sightd.daemon.encode.codecs import (
    RETRY_AFTER,
    EncoderError,
    OpenCodec,
    nvenc_problem,
    open_nvenc,
    open_nvenc_on_gpu,
    open_x264,
)

log = logging.getLogger(__name__)

CodecName = Literal["x264", "nvenc"]


class EncoderMissingError(Exception):
    """The configuration requires an encoder that this machine does not have."""


class CodecChoice:
    """The codec of one camera: `name` says which one encodes and `reason` why, for reports. Any thread may read
    them."""

    def __init__(
        self,
        camera: str,
        preference: Literal["auto", "x264", "nvenc"],
        *,
        nvenc_missing: Callable[[], str | None] = nvenc_problem,
        nvenc: OpenCodec = open_nvenc,
        nvenc_on_gpu: OpenCodec = open_nvenc_on_gpu,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises EncoderMissingError if NVENC is required but not available."""
        self._camera, self._preference = camera, preference
        self._nvenc, self._nvenc_on_gpu = nvenc, nvenc_on_gpu
        self._nvenc_missing, self._clock = nvenc_missing, clock
        self._refused_at = -math.inf
        self._on_trial = False
        problem = nvenc_missing() if preference != "x264" else None
        if problem and preference == "nvenc":
            raise EncoderMissingError(
                f"camera {camera}: `encoder: nvenc` is not available: {problem}. Set `encoder: auto` to use "
                "x264 if there is no NVENC"
            )
        self.name: CodecName = "x264" if problem or preference == "x264" else "nvenc"
        self.reason = f"no nvenc: {problem}" if problem else "as configured" if preference != "auto" else "first choice"

    def open(self, width: int, height: int, fps: float, options: Output) -> VideoCodecContext:
        """Returns a codec for images on the host; an `OpenCodec`. If NVENC is not required and refuses, x264 is used
        and that is logged: many cards encode only so many streams at a time. A call `RETRY_AFTER` s later or more tries
        NVENC again. Raises EncoderError if none can be opened. Called on the output's thread."""
        return self._opened(self._nvenc, width, height, fps, options)

    def open_on_gpu(self, width: int, height: int, fps: float, options: Output) -> VideoCodecContext:
        """Like `open`, for images on a GPU: NVENC reads them there, and for x264 they are downloaded."""
        return self._opened(self._nvenc_on_gpu, width, height, fps, options)

    def _opened(self, nvenc: OpenCodec, width: int, height: int, fps: float, options: Output) -> VideoCodecContext:
        if self.name == "nvenc" or self._may_try_again():
            try:
                context = nvenc(width, height, fps, options)
            except EncoderError as error:
                if self._preference == "nvenc":
                    raise
                self._refused(error)
            else:
                self._on_trial = self.name == "x264"
                return context
        return open_x264(width, height, fps, options)

    def succeeded(self) -> None:
        """Records that the codec opened last has encoded an image: only now is it known that NVENC no longer
        refuses."""
        if self._on_trial:
            self._on_trial = False
            self._encodes("nvenc", "first choice, accepted again")

    def failed(self, error: EncoderError) -> bool:
        """Records that an encoder cannot continue, or could not begin. Returns whether x264 replaces it: if it was
        NVENC, and NVENC is not required."""
        was_nvenc = self._on_trial or self.name == "nvenc"
        self._on_trial = False
        if not was_nvenc or self._preference == "nvenc":
            return False
        self._refused(error)
        return True

    def _may_try_again(self) -> bool:
        """Returns whether a camera that x264 encodes may try NVENC: it is preferred, available, and has not refused
        recently."""
        if self._preference != "auto" or self._clock() - self._refused_at < RETRY_AFTER:
            return False
        return self._nvenc_missing() is None

    def _refused(self, error: EncoderError) -> None:
        self._on_trial = False
        self._refused_at = self._clock()
        self._encodes("x264", f"nvenc failed: {error}")

    def _encodes(self, name: CodecName, reason: str) -> None:
        """Sets the codec and logs a change; a card that keeps refusing for the same reason is logged only once."""
        if (name, reason) != (self.name, self.reason):
            self.name, self.reason = name, reason
            level = logging.WARNING if name == "x264" else logging.INFO
            log.log(level, "camera %s: switched encoder to %s: %s", self._camera, name, reason)
