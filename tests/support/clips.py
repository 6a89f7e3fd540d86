"""Bar-coded pictures, encoded live or as small clips, made on the spot: nothing binary is kept in the tree."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.frame import PictureType
from numpy.typing import NDArray

from tests.support.barcode import clear_bar_colour, put_bar

Planes = NDArray[np.uint8]
"""A picture in I420: uint8 [height * 3 / 2, width], the luma rows first."""


class Scene:
    """A picture that wanders to the left, with the bar on it: `background` (a photograph) or a colourful one."""

    def __init__(self, width: int, height: int, background: Path | None = None) -> None:
        self.width, self.height = width, height
        image = _photograph(background, width, height)
        self._still = cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420).astype(np.uint8)

    def planes(self, number: int) -> Planes:
        """Picture `number` in I420, new, stamped with the time of this call."""
        width, height = self.width, self.height
        step = 2 * number % width
        planes = np.empty_like(self._still)
        _shift(self._still[:height], planes[:height], step)
        chroma = (-1, width // 2)
        _shift(self._still[height:].reshape(chroma), planes[height:].reshape(chroma), step // 2)
        clear_bar_colour(planes[height:].reshape(2, height // 2, width // 2))
        put_bar(planes[:height], number)
        return planes

    def frame(self, number: int) -> av.VideoFrame:
        """Picture `number`, yuv420p."""
        return av.VideoFrame.from_ndarray(self.planes(number), format="yuv420p")


class LiveEncoder:
    """H.264 without frame delay, parameter sets in band, crf 23, a key frame every two seconds and on demand."""

    def __init__(self, width: int, height: int, fps: float) -> None:
        codec = av.CodecContext.create("libx264", "w")
        assert isinstance(codec, av.VideoCodecContext)
        codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
        codec.framerate = Fraction(fps).limit_denominator(1001)
        codec.time_base = 1 / codec.framerate
        codec.gop_size = round(2 * fps)
        codec.thread_count = 1
        codec.options = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "crf": "23"}
        codec.options |= {"forced-idr": "1", "x264-params": "repeat-headers=1:scenecut=0"}
        self._codec = codec

    def encode(self, frame: av.VideoFrame, number: int, *, key: bool = False) -> list[av.Packet[av.VideoStream]]:
        """The packets of frame `number`."""
        frame.pts, frame.time_base = number, self._codec.time_base
        if key:
            frame.pict_type = PictureType.I
        return self._codec.encode(frame)


def write_clip(
    path: Path, *, size: tuple[int, int] = (640, 360), fps: int = 25, frames: int = 50, first: int = 0
) -> Path:
    """An H.264 file in the container that the suffix names, a key frame a second; its bars count from `first`."""
    scene = Scene(*size)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "23", "g": str(fps)}
        for number in range(first, first + frames):
            container.mux(stream.encode(scene.frame(number)))
        container.mux(stream.encode(None))
    return path


def _photograph(path: Path | None, width: int, height: int) -> NDArray[np.uint8]:
    if path is None:
        x, y = np.meshgrid(np.linspace(0, 6 * np.pi, width), np.linspace(0, 3 * np.pi, height))
        waves = [127 + 80 * np.sin(x + phase) * np.cos(y - phase) for phase in (0.0, 2.1, 4.2)]
        return np.stack(waves, axis=-1).astype(np.uint8)
    image = cv2.imread(str(path))
    if image is None:
        raise FileNotFoundError(f"no picture can be read from {path}")
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8)


def _shift(source: Planes, target: Planes, step: int) -> None:
    """Copies `source` to `target`, turned `step` px to the left."""
    rest = source.shape[1] - step
    target[:, :rest] = source[:, step:]
    target[:, rest:] = source[:, :step]
