"""Device memory and a stream for measurements, all released together."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sightd.engines.cuda.driver import DeviceBuffer
from sightd.engines.cuda.gpus import Gpu
from sightd.engines.cuda.launch.picture import DevicePicture

Image = NDArray[np.uint8]


class Desk(ExitStack):
    """A context manager that frees everything it allocated when it ends."""

    def __init__(self, gpu: Gpu) -> None:
        super().__init__()
        self.device, self.kernels = gpu.device, gpu.kernels
        self.stream = self.device.stream()
        self.callback(self.stream.close)

    def take(self, nbytes: int) -> DeviceBuffer:
        buffer = self.device.allocate(nbytes)
        self.callback(buffer.free)
        return buffer

    def put(self, host: NDArray[Any]) -> DeviceBuffer:
        buffer = self.take(host.nbytes)
        buffer.upload(np.ascontiguousarray(host), self.stream)
        self.stream.synchronize()
        return buffer

    def get(self, buffer: DeviceBuffer, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        host = np.empty(shape, dtype)
        buffer.download(host, self.stream)
        self.stream.synchronize()
        return host

    def bgr(self, image: Image) -> tuple[DevicePicture, DeviceBuffer]:
        height, width = image.shape[:2]
        buffer = self.put(image)
        return DevicePicture(buffer.address, 3 * width, width, height), buffer

    def nv12(self, image: Image) -> tuple[DevicePicture, DeviceBuffer]:
        """Uploads a BGR image with even sides as NV12, luma and chroma in one buffer."""
        height, width = image.shape[:2]
        planar = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), np.uint8)
        quarters = planar[height:].reshape(2, height // 2, width // 2)
        chroma = np.stack(tuple(quarters), axis=-1).reshape(height // 2, width)
        buffer = self.put(np.concatenate((planar[:height], chroma)))
        start = buffer.address + width * height
        return DevicePicture(buffer.address, width, width, height, start, width), buffer

    def seconds(self, work: Callable[[], object], repeats: int) -> float:
        """Returns the seconds one `work` takes, by device events. `work` must launch on `stream` and must not wait."""
        work()  # warm-up
        before = self.stream.record()
        for _ in range(repeats):
            work()
        after = self.stream.record()
        elapsed = after.elapsed_since(before) / repeats
        before.close()
        after.close()
        return max(elapsed, 1e-9)


def noise(width: int, height: int, seed: int = 0) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
