"""Which codec encodes a camera's H.264, and why that one."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import Literal

from av.video.codeccontext import VideoCodecContext

from sightd.daemon.config.model import Output
from sightd.daemon.encode.codec import EncoderError, OpenCodec
from sightd.daemon.encode.nvenc import RETRY_AFTER, nvenc_problem, open_nvenc, open_nvenc_on_gpu
from sightd.daemon.encode.x264 import open_x264

log = logging.getLogger(__name__)

CodecName = Literal["x264", "nvenc"]


class EncoderMissingError(Exception):
    """The configuration asks for an encoder that this machine has not."""


class CodecChoice:
    """One camera's: `name` is the codec that encodes and `reason` why, both to be told. Any thread may read them."""

    def __init__(
        self,
        camera: str,
        wish: Literal["auto", "x264", "nvenc"],
        *,
        nvenc_missing: Callable[[], str | None] = nvenc_problem,
        nvenc: OpenCodec = open_nvenc,
        nvenc_on_gpu: OpenCodec = open_nvenc_on_gpu,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """EncoderMissingError where NVENC is a must and is not here."""
        self._camera, self._wish = camera, wish
        self._nvenc, self._nvenc_on_gpu = nvenc, nvenc_on_gpu
        self._nvenc_missing, self._clock = nvenc_missing, clock
        self._refused_at = -math.inf
        self._on_trial = False
        problem = nvenc_missing() if wish != "x264" else None
        if problem and wish == "nvenc":
            raise EncoderMissingError(
                f"camera {camera}: `encoder: nvenc` is not possible: {problem}. "
                "Write `encoder: auto` to take x264 where there is no NVENC"
            )
        self.name: CodecName = "x264" if problem or wish == "x264" else "nvenc"
        self.reason = f"no nvenc: {problem}" if problem else "as configured" if wish != "auto" else "first choice"

    def open(self, width: int, height: int, fps: float, options: Output) -> VideoCodecContext:
        """A codec for pictures on the host; an `OpenCodec`. Where NVENC is no must and refuses, it is x264, and that is
        told: many cards encode only so many streams at a time. What is opened `RETRY_AFTER` s later or more tries NVENC
        again. EncoderError where none can be opened. The output's thread.
        """
        return self._opened(self._nvenc, width, height, fps, options)

    def open_on_gpu(self, width: int, height: int, fps: float, options: Output) -> VideoCodecContext:
        """As `open`, for pictures on a GPU: NVENC reads them there, and for x264 they are downloaded."""
        return self._opened(self._nvenc_on_gpu, width, height, fps, options)

    def _opened(self, nvenc: OpenCodec, width: int, height: int, fps: float, options: Output) -> VideoCodecContext:
        if self.name == "nvenc" or self._may_try_again():
            try:
                context = nvenc(width, height, fps, options)
            except EncoderError as error:
                if self._wish == "nvenc":
                    raise
                self._refused(error)
            else:
                self._on_trial = self.name == "x264"
                return context
        return open_x264(width, height, fps, options)

    def succeeded(self) -> None:
        """What was opened last has encoded a picture: only now is it known that NVENC refuses nothing any more."""
        if self._on_trial:
            self._on_trial = False
            self._encodes("nvenc", "first choice, and not refused any more")

    def failed(self, error: EncoderError) -> bool:
        """An encoder that was opened cannot go on, or could not begin. Whether x264 takes its place: where it was
        NVENC, and that is no must."""
        was_nvenc = self._on_trial or self.name == "nvenc"
        self._on_trial = False
        if not was_nvenc or self._wish == "nvenc":
            return False
        self._refused(error)
        return True

    def _may_try_again(self) -> bool:
        """For a camera that x264 encodes: whether NVENC is wished for and refused nothing of late."""
        if self._wish != "auto" or self._clock() - self._refused_at < RETRY_AFTER:
            return False
        return self._nvenc_missing() is None

    def _refused(self, error: EncoderError) -> None:
        self._on_trial = False
        self._refused_at = self._clock()
        self._encodes("x264", f"nvenc refused: {error}")

    def _encodes(self, name: CodecName, reason: str) -> None:
        """Told once: a card that goes on refusing for the same reason is no news."""
        if (name, reason) != (self.name, self.reason):
            self.name, self.reason = name, reason
            level = logging.WARNING if name == "x264" else logging.INFO
            log.log(level, "camera %s is encoded by %s from now on: %s", self._camera, name, reason)
