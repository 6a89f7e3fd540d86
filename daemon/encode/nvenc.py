"""H.264 on an NVIDIA GPU with its encoder NVENC, and detection of NVENC."""

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
"""Seconds after which a card that refused is tried again: the sessions in use may have ended."""
_NAME = "h264_nvenc"
_NEVER = 1 << 20
"""Frames between two key frames: hours more than is ever reached, because key frames come by the clock."""
_PROBE = (256, 256)
"""Width and height of the trial encoder; NVENC needs a width of at least 145."""


def open_nvenc(width: int, height: int, fps: float, options: Output) -> VideoCodecContext:
    """Returns an open NVENC that holds no image back; see `codec.OpenCodec`. It copies each image to the GPU itself.

    `crf` is its constant quality (`cq`), whose scale is the same, and `preset` applies only to x264. Parameter sets
    come with each key frame, because no global header is requested.
    """
    return opened(_NAME, width, height, fps, _NEVER, settings(options))


def open_nvenc_on_gpu(width: int, height: int, fps: float, options: Output) -> VideoCodecContext:
    """Like `open_nvenc`, for images on a GPU: the first one opens it, on that GPU."""
    return described(_NAME, width, height, fps, _NEVER, settings(options), ON_GPU)


def settings(options: Output) -> dict[str, str]:
    """Returns FFmpeg's options for h264_nvenc."""
    rate = f"{options.max_bitrate}k"
    return {
        "preset": "p3",
        "tune": "ull",
        "profile": "main",
        "rc": "vbr",
        "cq": str(options.crf),
        "b": "0",  # quality decides, up to maxrate
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
    """Why NVENC cannot be used on this machine; None if it can. It is opened to find out, because a card's name does
    not tell (H100 has none). Any thread: one probes, and the others wait for its result.

    A permanent result is kept: it works, there is no GPU, or FFmpeg was built without it. A card that is there but
    refused is probed again `RETRY_AFTER` s later. Without a driver nothing of CUDA is loaded.
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
        """Returns the problem, and whether it is permanent."""
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
"""The instance of this process."""
