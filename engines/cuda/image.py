"""Images in GPU memory, freed when they are no longer referenced, and their upload in one transfer."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from sightd.engines.cuda.context import Activation
from sightd.engines.cuda.driver import CudaDevice, CudaStream, DeviceBuffer
from sightd.engines.cuda.launch.device import Buffer, Device, Pinned
from sightd.engines.cuda.launch.picture import DevicePicture, PictureSheet
from sightd.engines.preprocess import size_of


class Downloads:
    """Downloads images to the host over one stream of a device, one thread at a time. Counted as transfers."""

    def __init__(self, device: CudaDevice) -> None:
        self.device = device
        self._stream: CudaStream = device.stream()
        self._lock = threading.Lock()

    def download(self, buffer: DeviceBuffer) -> NDArray[np.uint8]:
        """Returns the content of a buffer as a new uint8 array."""
        host = np.empty(buffer.nbytes, np.uint8)
        with self._lock:
            buffer.download(host, self._stream)
            self._stream.synchronize()
        return host

    def close(self) -> None:
        self._stream.close()


_ROW = 256
"""Row pitch alignment in bytes."""


class DeviceImage:
    """An NV12 image with its own memory, completely written: any stream of its GPU may read it, none may write it.

    Code that launches work on the image must keep a reference until that work is done. After the last reference is
    gone, the memory returns to the pool at the device's next allocation. Thread-safe.
    """

    __slots__ = ("__weakref__", "_buffer", "_downloads", "_fetched", "ordinal", "picture")

    def __init__(self, ordinal: int, buffer: DeviceBuffer, picture: DevicePicture, downloads: Downloads) -> None:
        """Takes ownership of `buffer`, which contains the luma rows followed by the chroma rows, with the same
        pitch."""
        self.ordinal, self.picture = ordinal, picture
        self._buffer, self._downloads = buffer, downloads
        self._fetched: NDArray[np.uint8] | None = None

    @classmethod
    def unwritten(cls, device: CudaDevice, width: int, height: int, downloads: Downloads) -> DeviceImage:
        """Allocates an NV12 image in BT.601 limited range, which must be written before anyone else uses it. Raises
        EngineError if there is not enough memory."""
        pitch = -(-(width + width % 2) // _ROW) * _ROW
        buffer = device.allocate(pitch * (height + (height + 1) // 2))
        picture = DevicePicture(buffer.address, pitch, width, height, buffer.address + pitch * height, pitch)
        return cls(device.ordinal, buffer, picture, downloads)

    def part(self, left: int, top: int, right: int, bottom: int) -> DeviceImage:
        """Returns a part of the image, without a copy; it keeps the image. Right and bottom are exclusive. Chroma is
        shared by two pixels each way, so the corner must be even: raises ValueError for another."""
        if (left, top, right, bottom) == (0, 0, self.picture.width, self.picture.height):
            return self
        return _Part(self, left, top, right, bottom)

    def active(self) -> Activation:
        """Returns a context manager that makes its GPU's context current on this thread, for libraries that read the
        image."""
        return self._downloads.device.active()

    def nv12(self) -> NDArray[np.uint8]:
        """Returns the image on the host as a read-only NV12 array: uint8 [height + height / 2 rounded up, width rounded
        up to even]. Downloaded only once for all callers."""
        if self._fetched is not None:
            return self._fetched
        pitch, width = self.picture.pitch, self.picture.width + self.picture.width % 2
        rows: NDArray[np.uint8] = self._downloads.download(self._buffer).reshape(-1, pitch)[:, :width]
        fetched = np.ascontiguousarray(rows)
        fetched.flags.writeable = False
        self._fetched = fetched
        return fetched

    @property
    def context_handle(self) -> int:
        """Its GPU's CUDA context handle, for libraries."""
        return self._downloads.device.context_handle

    def bgr(self) -> NDArray[np.uint8]:
        """Returns the image on the host as BGR: uint8 [height, width, 3]. Correct for BT.601 limited range and even
        sides, as for all images created here. A camera's images may differ; `Frame.host` handles those."""
        return np.asarray(cv2.cvtColor(self.nv12(), cv2.COLOR_YUV2BGR_NV12), np.uint8)

    def __del__(self) -> None:
        buffer = getattr(self, "_buffer", None)
        if buffer is not None:
            buffer.free_later()


class _Part(DeviceImage):
    """See `DeviceImage.part`. Owns no memory."""

    __slots__ = ("_whole",)

    def __init__(self, whole: DeviceImage, left: int, top: int, right: int, bottom: int) -> None:
        super().__init__(whole.ordinal, whole._buffer, whole.picture.part(left, top, right, bottom), whole._downloads)
        self._whole = whole

    def nv12(self) -> NDArray[np.uint8]:
        raise NotImplementedError("parts are read on the GPU: download the whole image")

    def __del__(self) -> None:
        """The whole image frees the memory."""


@dataclass(frozen=True, slots=True)
class DeviceSheet:
    """Parts of an image, which it keeps, next to each other in one model input. They are drawn there, into the input:
    a sheet has no memory of its own."""

    image: DeviceImage
    picture: PictureSheet


_ALIGNMENT = 256
_MOST_BYTES = 128 * 1024 * 1024
"""Sixteen images of 1920x1080 take 95 MiB."""

Image = NDArray[np.uint8]


class PictureUpload:
    """Host and device memory for the images of one batch; grows as needed. Use from one thread; `close` is idempotent.

    The stream must be synchronised between two calls of `send`.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._host: Pinned | None = None
        self._memory: Buffer | None = None

    def send(self, images: Sequence[Image | DeviceImage], stream: Any) -> list[DevicePicture]:
        """Uploads BGR uint8 [h, w, 3] images of any sizes. The host arrays may be reused at once. Raises ValueError for
        other arrays.

        Images already on this device are not copied, and must stay until the work that reads them is done.
        """
        starts = np.cumsum([0, *(_padded(_bytes_to_send(image)) for image in images)]).tolist()
        if not starts[-1]:
            return [image.picture for image in images if isinstance(image, DeviceImage)]
        host, memory = self._room(starts[-1])
        pictures = []
        for image, start in zip(images, starts, strict=False):
            if isinstance(image, DeviceImage):
                pictures.append(image.picture)
                continue
            height, width = size_of(image)
            host[start : start + 3 * height * width].reshape(height, width, 3)[...] = image
            pictures.append(DevicePicture(memory.address + start, 3 * width, width, height))
        memory.upload(host[: starts[-1]], stream)
        return pictures

    def close(self) -> None:
        for part in (self._host, self._memory):
            if part is not None:
                part.free()
        self._host = self._memory = None

    def _room(self, nbytes: int) -> tuple[Image, Buffer]:
        if self._host is None or self._memory is None or self._memory.nbytes < nbytes:
            self.close()
            self._host = self._device.pinned((nbytes,), np.uint8)
            self._memory = self._device.allocate(nbytes)
        return self._host.array, self._memory


T = TypeVar("T", bound=Image | DeviceImage | DeviceSheet)


def batches(images: Sequence[T], most: int, most_bytes: int = _MOST_BYTES) -> Iterator[Sequence[T]]:
    """Yields the images in order, in batches of at most `most` and with at most `most_bytes` to copy, unless a single
    image exceeds that."""
    first = nbytes = 0
    for i, image in enumerate(images):
        of_image = _bytes_to_send(image)
        if i > first and (i - first == most or nbytes + of_image > most_bytes):
            yield images[first:i]
            first, nbytes = i, 0
        nbytes += of_image
    if first < len(images):
        yield images[first:]


def _bytes_to_send(image: Image | DeviceImage | DeviceSheet) -> int:
    if isinstance(image, DeviceImage | DeviceSheet):
        return 0
    height, width = size_of(image)
    return 3 * height * width


def _padded(nbytes: int) -> int:
    return -(-nbytes // _ALIGNMENT) * _ALIGNMENT
