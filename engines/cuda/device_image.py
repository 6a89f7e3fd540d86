"""An image in GPU memory that is freed when it is no longer referenced."""

from __future__ import annotations

import threading

import cv2
import numpy as np
from numpy.typing import NDArray

from sightd.engines.cuda.context import Activation
from sightd.engines.cuda.driver import CudaDevice, CudaStream, DeviceBuffer
from sightd.engines.cuda.launch.picture import DevicePicture


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
