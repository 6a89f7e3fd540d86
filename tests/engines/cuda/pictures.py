"""Images for the kernels: random and smooth, odd and even sizes, as BGR and as NV12."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sightd.engines.cuda.launch.picture import DevicePicture, Matrix
from tests.support.host_kernels.device import HostDevice

Image = NDArray[np.uint8]
_KR_KB = {Matrix.BT601: (0.299, 0.114), Matrix.BT709: (0.2126, 0.0722)}


def noise(width: int, height: int, seed: int = 0) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def smooth(width: int, height: int, seed: int = 0) -> Image:
    blurred = cv2.GaussianBlur(noise(width, height, seed), (0, 0), 6)
    return np.asarray(cv2.normalize(blurred, np.empty_like(blurred), 0, 255, cv2.NORM_MINMAX), np.uint8)


def nv12_noise(width: int, height: int, seed: int = 0) -> tuple[Image, Image]:
    """Returns random luma [height, width] and chroma [ceil(height / 2), ceil(width / 2), 2]."""
    rng = np.random.default_rng(seed)
    chroma = rng.integers(0, 256, ((height + 1) // 2, (width + 1) // 2, 2), np.uint8)
    return rng.integers(0, 256, (height, width), np.uint8), chroma


def nv12_of(image: Image) -> tuple[Image, Image]:
    """Returns luma and chroma of a BGR image with even sides, as OpenCV converts it: BT.601, limited range."""
    height, width = image.shape[:2]
    planar = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), np.uint8)
    quarters = planar[height:].reshape(2, height // 2, width // 2)
    return planar[:height].copy(), np.ascontiguousarray(np.stack(tuple(quarters), axis=-1))


def bgr_of(luma: Image, chroma: Image, matrix: Matrix = Matrix.BT601, full_range: bool = False) -> Image:
    """Converts NV12 to BGR by the standard's definition, in float64, with repeated chroma; rounds each value once."""
    height, width = luma.shape
    repeated = chroma.repeat(2, axis=0).repeat(2, axis=1)[:height, :width].astype(np.float64) - 128
    y = luma.astype(np.float64)
    if not full_range:
        y, repeated = np.maximum(y - 16, 0) * 255 / 219, repeated * 255 / 224
    kr, kb = _KR_KB[matrix]
    u, v = repeated[..., 0], repeated[..., 1]
    red, blue = y + 2 * (1 - kr) * v, y + 2 * (1 - kb) * u
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    return np.clip(np.rint(np.stack((blue, green, red), axis=-1)), 0, 255).astype(np.uint8)


def on_device(device: HostDevice, image: Image, spare: int = 0) -> DevicePicture:
    """Uploads a BGR image with `spare` bytes of padding after each row."""
    height, width = image.shape[:2]
    rows = np.full((height, 3 * width + spare), 0xEE, np.uint8)
    rows[:, : 3 * width] = image.reshape(height, 3 * width)
    return DevicePicture(device.uploaded(rows).address, rows.shape[1], width, height)


def nv12_on_device(
    device: HostDevice,
    luma: Image,
    chroma: Image,
    spare: int = 0,
    matrix: Matrix = Matrix.BT601,
    full_range: bool = False,
) -> DevicePicture:
    height, width = luma.shape
    luma_rows = np.full((height, width + spare), 0xEE, np.uint8)
    luma_rows[:, :width] = luma
    chroma_rows = np.full((chroma.shape[0], 2 * chroma.shape[1] + spare), 0xEE, np.uint8)
    chroma_rows[:, : 2 * chroma.shape[1]] = chroma.reshape(chroma.shape[0], -1)
    return DevicePicture(
        device.uploaded(luma_rows).address,
        luma_rows.shape[1],
        width,
        height,
        device.uploaded(chroma_rows).address,
        chroma_rows.shape[1],
        matrix,
        full_range,
    )
