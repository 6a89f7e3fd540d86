"""Uploads images to the device: gathers them in page-locked memory and copies them in one transfer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightd.engines.cuda.device_image import DeviceImage
from sightd.engines.cuda.launch.interfaces import Buffer, Device, Pinned
from sightd.engines.cuda.launch.picture import DevicePicture
from sightd.engines.preprocess import size_of

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


def batches(
    images: Sequence[Image | DeviceImage], most: int, most_bytes: int = _MOST_BYTES
) -> Iterator[Sequence[Image | DeviceImage]]:
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


def _bytes_to_send(image: Image | DeviceImage) -> int:
    if isinstance(image, DeviceImage):
        return 0
    height, width = size_of(image)
    return 3 * height * width


def _padded(nbytes: int) -> int:
    return -(-nbytes // _ALIGNMENT) * _ALIGNMENT
