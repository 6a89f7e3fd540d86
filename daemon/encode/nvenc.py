"""H.264 on an NVIDIA GPU, by its encoder NVENC, and whether there is one."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

from av.codec.codec import UnknownCodecError
from av.video.codeccontext import VideoCodecContext

from sightd.daemon.config.model import Output
from sightd.daemon.encode.codec import ON_GPU, EncoderError, OpenCodec, described, opened
from sightd.engines.placement import no_gpu

RETRY_AFTER = 60.0
"""Seconds after which a card that refused is tried again: the sessions that were taken may have ended."""
_NAME = "h264_nvenc"
_NEVER = 1 << 20
"""Pictures from key frame to key frame: hours more than they come by the clock."""
_PROBE = (256, 256)
"""The least width that any NVENC takes is 145."""


def open_nvenc(width: int, height: int, fps: float, options: Output) -> VideoCodecContext:
    """An open NVENC that holds no picture back; see `codec.OpenCodec`. It copies each picture onto the GPU itself.

    `crf` is its constant quality (`cq`), whose scale is the same, and `preset` is x264's alone. Parameter sets come
    with each key frame, for no global header is asked for.
    """
    return opened(_NAME, width, height, fps, _NEVER, settings(options))


def open_nvenc_on_gpu(width: int, height: int, fps: float, options: Output) -> VideoCodecContext:
    """As `open_nvenc`, for pictures that lie on a GPU: the first one opens it, on that GPU."""
    return described(_NAME, width, height, fps, _NEVER, settings(options), ON_GPU)


def settings(options: Output) -> dict[str, str]:
    """FFmpeg's options of h264_nvenc."""
    rate = f"{options.max_bitrate}k"
    return {
        "preset": "p3",
        "tune": "ull",
        "profile": "main",
        "rc": "vbr",
        "cq": str(options.crf),
        "b": "0",  # the quality decides, up to maxrate
        "maxrate": rate,
        "bufsize": rate,
        "forced-idr": "1",
        "aud": "1",
        "no-scenecut": "1",
        "rc-lookahead": "0",
        "zerolatency": "1",
        "delay": "0",
    }


class NvencProblem:
    """Why NVENC cannot be used on this machine; None where it can: it was opened, for no name of a card tells (H100
    has none). Any thread: one asks, and the others wait for its answer.

    What lasts is asked once: that it works, that there is no GPU, that FFmpeg was built without it. A card that is
    there and refused is asked again `RETRY_AFTER` s later. Without a driver nothing of CUDA is loaded.
    """

    def __init__(
        self,
        *,
        gpu_missing: Callable[[], str | None] = no_gpu,
        nvenc: OpenCodec = open_nvenc,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gpu_missing, self._nvenc, self._clock = gpu_missing, nvenc, clock
        self._lock = threading.Lock()
        self._answer: str | None = None
        self._ask_at = -math.inf

    def __call__(self) -> str | None:
        with self._lock:
            if self._clock() >= self._ask_at:
                self._answer, lasts = self._asked()
                self._ask_at = math.inf if lasts else self._clock() + RETRY_AFTER
            return self._answer

    def _asked(self) -> tuple[str | None, bool]:
        """The answer, and whether it lasts."""
        if problem := self._gpu_missing():
            return problem, True
        try:
            self._nvenc(*_PROBE, 25, Output())
        except EncoderError as error:
            if isinstance(error.__cause__, UnknownCodecError):
                return str(error), True
            return f"this GPU has no NVENC, all its sessions are taken, or libnvidia-encode is missing ({error})", False
        return None, True


nvenc_problem = NvencProblem()
"""The process's own."""
