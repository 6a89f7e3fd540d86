"""Images in the stand-in driver's GPU memory. For processes of `tests.support.fake_cuda`."""

from __future__ import annotations

import cv2
import numpy as np

from sightd.engines.cuda.driver import CudaDevice
from sightd.engines.cuda.image import DeviceImage, Downloads
from sightd.engines.cuda.launch.picture import DevicePicture
from sightd.plugins.api import Frame, Image
from tests.engines.cuda.pictures import nv12_of


def device_image(device: CudaDevice, image: Image, downloads: Downloads, spare: int = 32) -> DeviceImage:
    """Uploads a BGR image with even sides as NV12, with `spare` bytes of padding after each row."""
    height, width = image.shape[:2]
    rows = np.zeros((height * 3 // 2, width + spare), np.uint8)
    rows[:, :width] = nv12_rows(image)
    buffer, stream = device.allocate(rows.nbytes), device.stream()
    buffer.upload(rows, stream)
    stream.synchronize()
    stream.close()
    pitch = rows.shape[1]
    picture = DevicePicture(buffer.address, pitch, width, height, buffer.address + pitch * height, pitch)
    return DeviceImage(device.ordinal, buffer, picture, downloads)


def nv12_rows(image: Image) -> Image:
    """Returns a BGR image with even sides as NV12: uint8 [height * 3 / 2, width]."""
    luma, chroma = nv12_of(image)
    return np.concatenate((luma, chroma.reshape(-1, luma.shape[1])))


def nv12_round_trip(image: Image) -> Image:
    """Returns a BGR image with even sides after conversion to NV12 and back."""
    return np.asarray(cv2.cvtColor(nv12_rows(image), cv2.COLOR_YUV2BGR_NV12), np.uint8)


def device_frame(image: DeviceImage, host: Image, *, captured_at: float = 100.0, wall_time: float = 1.7e9) -> Frame:
    """Returns a frame on the device; `host` is what `Frame.host` returns a copy of."""
    height, width = host.shape[:2]
    return Frame("camera", 0, (width, height), host.copy, captured_at=captured_at, wall_time=wall_time, on_device=image)
