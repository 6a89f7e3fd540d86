"""A picture that lies on a GPU for as long as somebody holds it."""

from __future__ import annotations

import threading

import cv2
import numpy as np
from numpy.typing import NDArray

from sightd.engines.cuda.context import Activation
from sightd.engines.cuda.driver import Device, DeviceBuffer, Stream
from sightd.engines.cuda.launch.picture import DevicePicture


class Downloads:
    """The way of pictures to the host: one stream of a device, for one thread at a time. Counted as transfers."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self._stream: Stream = device.stream()
        self._lock = threading.Lock()

    def download(self, buffer: DeviceBuffer) -> NDArray[np.uint8]:
        """All of a buffer, in memory of its own."""
        host = np.empty(buffer.nbytes, np.uint8)
        with self._lock:
            buffer.download(host, self._stream)
            self._stream.synchronize()
        return host

    def close(self) -> None:
        self._stream.close()


_ROW = 256
"""Rows begin at multiples of so many bytes."""


class DeviceImage:
    """An NV12 picture in memory of its own, written to its end: any stream of its GPU may read it, none may write.

    Whoever launches work that reads it holds it until that work is done. When nobody holds it any more, its memory is
    the pool's again at the device's next allocation. Any thread.
    """

    __slots__ = ("__weakref__", "_buffer", "_downloads", "_fetched", "ordinal", "picture")

    def __init__(self, ordinal: int, buffer: DeviceBuffer, picture: DevicePicture, downloads: Downloads) -> None:
        """`buffer` becomes the picture's own; it holds the rows of luma and then those of chroma, of one pitch."""
        self.ordinal, self.picture = ordinal, picture
        self._buffer, self._downloads = buffer, downloads
        self._fetched: NDArray[np.uint8] | None = None

    @classmethod
    def unwritten(cls, device: Device, width: int, height: int, downloads: Downloads) -> DeviceImage:
        """Memory for an NV12 picture in BT.601 and limited range, to be written before anybody else sees it.
        EngineError where there is none."""
        pitch = -(-(width + width % 2) // _ROW) * _ROW
        buffer = device.allocate(pitch * (height + (height + 1) // 2))
        picture = DevicePicture(buffer.address, pitch, width, height, buffer.address + pitch * height, pitch)
        return cls(device.ordinal, buffer, picture, downloads)

    def active(self) -> Activation:
        """Makes its GPU's context current on this thread for a `with` block, for libraries that read it there."""
        return self._downloads.device.active()

    def nv12(self) -> NDArray[np.uint8]:
        """The picture on the host, read only: uint8 [height + height / 2 rounded up, width rounded up to even], NV12.
        Fetched once, for all who ask."""
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
        """Its GPU's context, for libraries."""
        return self._downloads.device.context_handle

    def bgr(self) -> NDArray[np.uint8]:
        """The picture on the host: uint8 [height, width, 3]. Of BT.601 in limited range and even sides, as all are that
        are made here; a camera's own may be otherwise, and `Frame.host` knows of that."""
        return np.asarray(cv2.cvtColor(self.nv12(), cv2.COLOR_YUV2BGR_NV12), np.uint8)

    def __del__(self) -> None:
        buffer = getattr(self, "_buffer", None)
        if buffer is not None:
            buffer.free_later()
