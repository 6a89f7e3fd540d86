"""Bar-coded frames, encoded live or as short clips. All are generated, so no binary files are in the repository."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType

import av
import cv2
import numpy as np
from av.stream import Disposition
from av.video.frame import PictureType
from numpy.typing import NDArray

from tests.support.barcode import clear_bar_colour, put_bar

Planes = NDArray[np.uint8]
"""An I420 image: uint8 [height * 3 / 2, width], the luma rows first."""


class Scene:
    """An image that pans to the left, with the bar code on it: `background` (a photograph) or a colourful pattern."""

    def __init__(self, width: int, height: int, background: Path | None = None) -> None:
        self.width, self.height = width, height
        image = _photograph(background, width, height)
        self._still = cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420).astype(np.uint8)

    def planes(self, number: int) -> Planes:
        """Returns frame `number` as a new I420 array, stamped with the time of this call."""
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
        """Returns frame `number` as yuv420p."""
        return av.VideoFrame.from_ndarray(self.planes(number), format="yuv420p")


_LIVE_OPTIONS = {
    "libx264": {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "profile": "baseline",
        "crf": "23",
        "forced-idr": "1",
        "x264-params": "repeat-headers=1:scenecut=0",
    },
    "libx265": {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "forced-idr": "1",
        "x265-params": "repeat-headers=1:scenecut=0:bframes=0:log-level=none:pools=none:frame-threads=1",
    },
    "mjpeg": {"huffman": "default", "strict": "unofficial"},
}


class LiveEncoder:
    """An encoder (FFmpeg's name: libx264, libx265 or mjpeg) without frame delay, with in-band parameter sets and a key
    frame every two seconds and on demand."""

    def __init__(self, width: int, height: int, fps: float, encoder: str = "libx264") -> None:
        codec = av.CodecContext.create(encoder, "w")
        assert isinstance(codec, av.VideoCodecContext)
        codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
        codec.framerate = Fraction(fps).limit_denominator(1001)
        codec.time_base = 1 / codec.framerate
        codec.gop_size = round(2 * fps)
        codec.thread_count = 1
        codec.options = dict(_LIVE_OPTIONS[encoder])
        self._codec = codec

    def encode(self, frame: av.VideoFrame, number: int, *, key: bool = False) -> list[av.Packet[av.VideoStream]]:
        """Returns the packets of frame `number`. Sets the frame's pts and time base."""
        frame.pts, frame.time_base = number, self._codec.time_base
        if key:
            frame.pict_type = PictureType.I
        return self._codec.encode(frame)


def write_clip(
    path: Path,
    *,
    size: tuple[int, int] = (640, 360),
    fps: int = 25,
    frames: int = 50,
    first: int = 0,
    container_options: Mapping[str, str] = MappingProxyType({}),
) -> Path:
    """Writes an H.264 file in the container given by the suffix, with a key frame every second. Its bar codes count
    from `first`."""
    scene = Scene(*size)
    with av.open(str(path), "w", container_options={**container_options}) as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "23", "g": str(fps)}
        for number in range(first, first + frames):
            container.mux(stream.encode(scene.frame(number)))
        container.mux(stream.encode(None))
    return path


QUADRANTS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255))
"""The colours of `quadrants`, BGR: top left, top right, bottom left, bottom right."""


def quadrants(width: int, height: int) -> NDArray[np.uint8]:
    """Returns a BGR image whose four coloured quadrants show its orientation."""
    blue, green, red, white = QUADRANTS
    few = np.array([[blue, green], [red, white]], np.uint8)
    return cv2.resize(few, (width, height), interpolation=cv2.INTER_NEAREST).astype(np.uint8)


def corners(image: NDArray[np.uint8]) -> list[int]:
    """Returns the indices of the quadrants seen top left, top right, bottom left and bottom right."""
    height, width = image.shape[:2]
    places = [(y, x) for y in (height // 4, height * 3 // 4) for x in (width // 4, width * 3 // 4)]
    colours = np.array(QUADRANTS, int)
    return [int(np.abs(colours - image[place].astype(int)).sum(axis=1).argmin()) for place in places]


def write_film(
    path: Path,
    pictures: Iterable[NDArray[np.uint8]],
    *,
    fps: int = 10,
    matrix: Sequence[int] | None = None,
    aspect: Fraction | None = None,
    codec: str = "libx264",
    options: Mapping[str, str] = MappingProxyType({}),
    container_options: Mapping[str, str] = MappingProxyType({}),
) -> Path:
    """Writes a video of BGR images. `matrix` is its display matrix [9], `aspect` its sample aspect ratio."""
    with av.open(str(path), "w", container_options={**container_options}) as container:
        stream = container.add_stream(codec, rate=fps, options={**options})
        assert isinstance(stream, av.VideoStream)
        for number, picture in enumerate(pictures):
            if number == 0:
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = {"mjpeg": "yuvj420p", "gif": "rgb8"}.get(codec, "yuv420p")
                if aspect is not None:
                    stream.codec_context.sample_aspect_ratio = aspect
                if matrix is not None:
                    stream.set_display_matrix(matrix)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode(None))
    return path


def display_matrix(x_from_x: int, y_from_x: int, x_from_y: int, y_from_y: int) -> list[int]:
    """Returns a display matrix [9] as MP4 stores it."""
    return [65536 * cell for cell in (x_from_x, y_from_x, 0, x_from_y, y_from_y, 0)] + [0, 0, 1 << 30]


CLOCKWISE = display_matrix(0, 1, -1, 0)


def write_with_cover(path: Path, pictures: Sequence[NDArray[np.uint8]], *, audio_only: bool = False) -> Path:
    """Writes an MP4 whose first stream is a cover image marked as attached, and whose second is the video (or
    audio)."""
    cover = np.full((48, 64, 3), 200, np.uint8)
    with av.open(str(path), "w") as container:
        attached = container.add_stream("mjpeg", rate=1)
        attached.width, attached.height, attached.pix_fmt = 64, 48, "yuvj420p"
        attached.disposition = Disposition.attached_pic
        if audio_only:
            stream: av.AudioStream | av.VideoStream = container.add_stream("aac", rate=8000)
        else:
            stream = container.add_stream("libx264", rate=10)
            stream.height, stream.width, stream.pix_fmt = *pictures[0].shape[:2], "yuv420p"
            stream.disposition = Disposition.default
        container.mux(attached.encode(av.VideoFrame.from_ndarray(cover, format="bgr24")))
        container.mux(attached.encode(None))
        if isinstance(stream, av.VideoStream):
            for picture in pictures:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
            container.mux(stream.encode(None))
        else:
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            sound.sample_rate = 8000
            container.mux(stream.encode(sound))
            container.mux(stream.encode(None))
    path.write_bytes(_metadata_first(path.read_bytes()))
    return path


def _metadata_first(mp4: bytes) -> bytes:
    """Moves `udta`, which holds the cover, before the tracks: FFmpeg numbers streams in file order."""
    at = mp4.index(b"moov") - 4
    size = int.from_bytes(mp4[at : at + 4])
    boxes, place = list[bytes](), at + 8
    while place < at + size:
        length = int.from_bytes(mp4[place : place + 4])
        boxes.append(mp4[place : place + length])
        place += length
    boxes.sort(key=lambda box: (b"mvhd", b"udta").index(box[4:8]) if box[4:8] in (b"mvhd", b"udta") else 2)
    return mp4[: at + 8] + b"".join(boxes) + mp4[at + size :]


def with_exif_orientation(jpeg: bytes, orientation: int) -> bytes:
    """Returns the JPEG with an EXIF orientation: 1 means as it is, 6 that it must be rotated clockwise."""
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0) + b"\0\0\0\0"
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]


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
    """Copies `source` to `target`, rolled `step` px to the left."""
    rest = source.shape[1] - step
    target[:, :rest] = source[:, step:]
    target[:, rest:] = source[:, :step]
