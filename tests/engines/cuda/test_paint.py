"""paint.cu enlarges a painting to its image's size like the CPU path."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sightd.engines.cuda.launch.picture import DevicePicture
from sightd.engines.cuda.launch.style import Finish, Paint
from sightd.plugins.api import FloatArray, Image
from sightd.plugins.style.compositing import enlarged, strokes
from tests.engines.cuda.pictures import bgr_of, noise, nv12_of, nv12_on_device, on_device, smooth
from tests.engines.cuda.test_style import bgr, empty_nv12, nv12
from tests.support.host_kernels.device import HostDevice, HostStream

SMALL = (40, 24)
FINISHES = [Finish(), Finish(0.4), Finish(1.0, keep_colours=True)]


def painting(seed: int = 0) -> FloatArray:
    """Returns strokes of the model's size that are independent of the image."""
    width, height = SMALL
    return cv2.GaussianBlur(noise(width, height, seed), (0, 0), 1.0).astype(np.float32)


def grey_of(image: Image) -> Image:
    small = cv2.resize(image, SMALL, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.uint8)


def painted(
    device: HostDevice, pairs: list[tuple[DevicePicture, DevicePicture]], planes: list[FloatArray], finish: Finish
) -> None:
    memory = device.uploaded(np.ascontiguousarray(np.stack(planes), np.float32))
    paint = Paint(device, device, len(pairs))
    paint.launch(pairs, memory.address, SMALL, finish, HostStream())
    paint.close()


def expected(source: Image, paint: FloatArray, finish: Finish) -> Image:
    """Returns the result of the plug-in on the CPU."""
    large = enlarged(paint, source, grey_of(source))
    if finish.keep_colours:
        ours = cv2.cvtColor(np.rint(large).astype(np.uint8), cv2.COLOR_BGR2YCrCb)
        ours[:, :, 1:] = cv2.cvtColor(source, cv2.COLOR_BGR2YCrCb)[:, :, 1:]
        large = cv2.cvtColor(ours, cv2.COLOR_YCrCb2BGR).astype(np.float32)
    return np.rint(source + np.float32(finish.strength) * (large - source)).astype(np.uint8)


def close(found: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], wanted: Image) -> None:
    difference = np.abs(found.astype(int) - wanted)
    assert difference.max() <= 2
    assert difference.mean() <= 0.3


@pytest.mark.parametrize("finish", FINISHES)
@pytest.mark.parametrize("size", [(160, 96), (133, 71)])
def test_bgr_pictures_are_painted_as_on_the_cpu(size: tuple[int, int], finish: Finish) -> None:
    device, source = HostDevice(), smooth(*size)
    target = on_device(device, np.zeros_like(source), spare=5)
    planes = strokes(painting(), grey_of(source))
    painted(device, [(on_device(device, source, spare=3), target)], [planes], finish)
    close(bgr(device, target), expected(source, painting(), finish))


def test_frames_of_a_batch_each_get_their_painting_in_the_encoders_colours() -> None:
    device, pairs, planes, wanted = HostDevice(), [], [], []
    for seed, size in enumerate([(160, 96), (80, 48)]):
        luma, chroma = nv12_of(smooth(*size))
        source = bgr_of(luma, chroma)
        pairs.append((nv12_on_device(device, luma, chroma, 4), empty_nv12(device, *size)))
        planes.append(strokes(painting(seed), grey_of(source)))
        wanted.append(expected(source, painting(seed), Finish()))
    painted(device, pairs, planes, Finish())
    assert [name for name, _, _ in device.launches] == ["paint"]
    for (_, target), image in zip(pairs, wanted, strict=True):
        close(nv12(device, target)[0], nv12_of(image)[0])


def test_a_painting_of_another_size_is_refused() -> None:
    device = HostDevice()
    pair = on_device(device, noise(8, 8)), on_device(device, noise(9, 8))
    with pytest.raises(ValueError, match="the size of its image"):
        Paint(device, device, 1).launch([pair], 0, SMALL, Finish(), HostStream())
