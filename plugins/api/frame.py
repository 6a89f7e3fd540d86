"""A frame of a camera, the canvas that plug-ins draw on, and the array types of images and results."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
from numpy.typing import NDArray

from sightd.engines.cuda.image import DeviceImage

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
Image = NDArray[np.uint8]
"""An image in host memory: uint8 [height, width, 3] in BGR order."""
Luma = NDArray[np.uint8]
"""The brightness of an image in host memory: uint8 [height, width]."""


@dataclass(frozen=True, slots=True)
class LumaPlane:
    """A decoder's luma: `read` returns its plane, without a copy if possible, and holds the decoder's buffer. `weights`
    give the same luma from the image's BGR values: blue, green, red, and a summand, in grey levels."""

    read: Callable[[], Luma]
    weights: tuple[float, float, float, float]


_BGR_WEIGHTS = (0.114, 0.587, 0.299, 0.0)
"""ITU-R BT.601, full range."""
_THUMB = (36, 64)
"""Rows and columns of pixels that are sampled for a thumb, of which 2 x 2 are averaged."""


class Frame:
    """One frame of one camera. The BGR image is decoded once, on first use, and shared: it must not be written to.

    `captured_at` is monotonic seconds, `wall_time` seconds since the epoch, and `pts` seconds in the source's own time
    (None if it has none). `decode` returns the BGR image; it is called at most once, from any thread. `on_device` is
    the image if it was decoded on a GPU; `decode` then downloads it. `luma` is the decoder's own luma plane, of
    the same size as the image; it is called from any thread. `thumb` is for copies of a frame that is in another
    process: it returns what `Frame.thumb` returns there. `still` marks a photograph: it is unrelated to any other
    frame, even if several photographs are analysed one after the other.
    """

    __slots__ = (
        "_decode",
        "_image",
        "_lock",
        "_luma_weights",
        "_read_luma",
        "_read_thumb",
        "_thumb",
        "camera",
        "captured_at",
        "height",
        "on_device",
        "pts",
        "seq",
        "still",
        "wall_time",
        "width",
    )

    def __init__(
        self,
        camera: str,
        seq: int,
        size: tuple[int, int],
        decode: Callable[[], Image],
        *,
        captured_at: float,
        wall_time: float,
        pts: float | None = None,
        on_device: DeviceImage | None = None,
        luma: LumaPlane | None = None,
        thumb: Callable[[], FloatArray | None] | None = None,
        still: bool = False,
    ) -> None:
        self.camera = camera
        self.seq = seq
        self.width, self.height = size
        self.captured_at = captured_at
        self.wall_time = wall_time
        self.pts = pts
        self.on_device = on_device
        self.still = still
        self._decode: Callable[[], Image] | None = decode
        self._read_luma = None if luma is None else luma.read
        self._luma_weights = _BGR_WEIGHTS if luma is None else luma.weights
        self._image: Image | None = None
        self._read_thumb = thumb
        self._thumb: FloatArray | None = None
        self._lock = threading.Lock()

    @classmethod
    def of(
        cls,
        image: Image,
        *,
        camera: str = "camera",
        seq: int = 0,
        captured_at: float = 0.0,
        wall_time: float = 0.0,
        pts: float | None = None,
        still: bool = False,
    ) -> Frame:
        """Wraps an image that is already in host memory."""
        height, width = image.shape[:2]
        return cls(
            camera,
            seq,
            (width, height),
            lambda: image,
            captured_at=captured_at,
            wall_time=wall_time,
            pts=pts,
            still=still,
        )

    def device(self, ordinal: int) -> DeviceImage | None:
        """Returns the image if it is already on GPU `ordinal` (0 for "cuda:0"), else None."""
        image = self.on_device
        return image if image is not None and image.ordinal == ordinal else None

    def host(self) -> Image:
        """Returns the image as read-only BGR uint8 [height, width, 3] in host memory. Decodes it on first use."""
        with self._lock:
            if self._image is None:
                assert self._decode is not None
                self._image = self._decode()
                self._image.flags.writeable = False
                self._decode = self._read_luma = None  # releases the decoder's own buffer
            return self._image

    def luma(self) -> Luma:
        """Returns the image's luma as uint8 [height, width] in host memory, which must not be written to.

        Costs nothing while the decoder's own plane is there, which is until `host` was called; then, or if the decoder
        has none, it is computed from the BGR image, to within two grey levels of the same. An image on a GPU is
        downloaded. Range and weights of the colours are the source's own. Thread-safe.
        """
        read = self._read_luma
        if read is not None:
            return read()
        if self.on_device is not None:
            return self.on_device.nv12()[: self.height, : self.width]
        *weights, summand = self._luma_weights
        luma = cv2.transform(self.host(), np.array([[*weights, summand]], np.float32))
        return np.asarray(luma, np.uint8).reshape(self.height, self.width)

    def thumb(self) -> FloatArray | None:
        """Returns what the frame looks like, to tell scenes apart (`plugins.activity.scene`): 18 x 32 samples of its
        luma with zero mean and unit length, float32 [576], which must not be written to; all zero if the image is
        uniform. None if the frame is on a GPU, from which it would have to be downloaded.

        Computed once, in about 0.1 ms. Thread-safe.
        """
        if self._read_thumb is not None:
            return self._read_thumb()
        if self._thumb is None and self.on_device is None:
            self._thumb = _thumb_of(self._samples(*_THUMB))
        return self._thumb

    def _samples(self, rows: int, columns: int) -> FloatArray:
        """Returns the luma at points that are spread evenly over the image, float32 [rows, columns]."""
        read = self._read_luma
        pixels = self.host() if read is None else read()
        y = np.linspace(0, pixels.shape[0] - 1, rows).astype(np.intp)[:, None]
        x = np.linspace(0, pixels.shape[1] - 1, columns).astype(np.intp)
        if read is not None:
            return np.asarray(pixels[y, x], np.float32)
        *weights, summand = self._luma_weights
        samples: FloatArray = pixels[y, x] @ np.array(weights, np.float32) + np.float32(summand)
        return samples


def _thumb_of(samples: FloatArray) -> FloatArray:
    rows, columns = samples.shape
    small = samples.reshape(rows // 2, 2, columns // 2, 2).mean(axis=(1, 3)).ravel()
    small -= small.mean()
    length = float(np.sqrt(small @ small))
    thumb: FloatArray = small / length if length > 1 else np.zeros_like(small)
    thumb.flags.writeable = False
    return thumb


@runtime_checkable
class Canvas(Protocol):
    """Drawing surface for plug-ins: the output image at its own size, with helpers that scale from source pixels."""

    @property
    def image(self) -> Image:
        """Writable BGR uint8 [height, width, 3], in output pixels. An image on a GPU is downloaded first, so use this
        only to draw into it; use `size` otherwise."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the output image in pixels."""
        ...

    def box(self, xyxy: FloatArray, colour: tuple[int, int, int], label: str = "") -> None:
        """Draws a box given in source pixels, with an optional label on a contrasting background."""
        ...

    def text(self, xy: tuple[float, float], text: str, colour: tuple[int, int, int]) -> None:
        """Draws a line of text on a contrasting background; `xy` is its top left corner in source pixels."""
        ...

    def line(self, points: FloatArray, colour: tuple[int, int, int], opacity: float = 1.0, width: float = 1.0) -> None:
        """Draws a line through two or more points, float32 [n, 2] in source pixels, on a dark rim. `opacity` is 0-1;
        `width` is in widths of a box's line."""
        ...
