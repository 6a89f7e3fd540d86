"""style.cu writes the same frames as OpenCV."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sightd.engines.cuda.launch.heads import DeviceTensor
from sightd.engines.cuda.launch.picture import DevicePicture, Matrix
from sightd.engines.cuda.launch.style import Style
from sightd.engines.model import ColourOrder
from tests.engines.cuda.pictures import bgr_of, noise, nv12_of, nv12_on_device, on_device, smooth
from tests.support.host_kernels.device import HostDevice, HostStream

SIZES = [(64, 48), (37, 29), (128, 96), (90, 130), (1, 1)]


def numbers(width: int, height: int, count: int = 1) -> NDArray[np.float32]:
    """Returns planes as a model returns them: some values below 0 and above 1."""
    return np.random.default_rng(0).normal(0.5, 0.35, (count, 3, height, width)).astype(np.float32)


def as_bytes(planes: NDArray[np.float32], colour: ColourOrder, width: int, height: int) -> NDArray[np.uint8]:
    """Returns the result of the CPU path: round, reorder channels, resize."""
    image = np.clip(np.rint(planes.transpose(1, 2, 0) * np.float32(255)), 0, 255).astype(np.uint8)
    image = np.ascontiguousarray(image[:, :, ::-1] if colour is ColourOrder.RGB else image)
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def written(
    device: HostDevice,
    planes: NDArray[Any],
    frames: list[DevicePicture],
    colour: ColourOrder = ColourOrder.RGB,
    factor: float = 255.0,
) -> None:
    tensor = DeviceTensor(device.uploaded(planes).address, planes.shape, planes.dtype)
    style = Style(device, device, len(frames), colour, factor)
    style.launch(tensor, frames, HostStream())
    style.close()


def plane(device: HostDevice, address: int, rows: int, pitch: int) -> NDArray[np.uint8]:
    (buffer,) = (buffer for buffer in device.buffers.values() if buffer.address == address)
    return buffer.bytes.reshape(rows, pitch)


def bgr(device: HostDevice, frame: DevicePicture) -> NDArray[np.uint8]:
    rows = plane(device, frame.plane, frame.height, frame.pitch)
    assert (rows[:, 3 * frame.width :] == 0xEE).all(), "wrote between the rows"
    return rows[:, : 3 * frame.width].reshape(frame.height, frame.width, 3)


def nv12(device: HostDevice, frame: DevicePicture) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    luma = plane(device, frame.plane, frame.height, frame.pitch)
    assert frame.chroma is not None
    chroma = plane(device, frame.chroma, (frame.height + 1) // 2, frame.chroma_pitch)
    columns = (frame.width + 1) // 2
    assert (luma[:, frame.width :] == 0xEE).all()
    assert (chroma[:, 2 * columns :] == 0xEE).all()
    return luma[:, : frame.width], chroma[:, : 2 * columns].reshape(-1, columns, 2)


def empty_nv12(
    device: HostDevice, width: int, height: int, spare: int = 0, matrix: Matrix = Matrix.BT601, full_range: bool = False
) -> DevicePicture:
    luma, chroma = np.zeros((height, width), np.uint8), np.zeros(((height + 1) // 2, (width + 1) // 2, 2), np.uint8)
    return nv12_on_device(device, luma, chroma, spare, matrix, full_range)


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("colour", ColourOrder)
@pytest.mark.parametrize("spare", [0, 7])
def test_bgr_frames_of_any_size(width: int, height: int, colour: ColourOrder, spare: int) -> None:
    device, planes = HostDevice(), numbers(64, 48)
    frame = on_device(device, np.zeros((height, width, 3), np.uint8), spare)
    written(device, planes, [frame], colour)
    difference = np.abs(bgr(device, frame).astype(int) - as_bytes(planes[0], colour, width, height))
    assert difference.max() <= 1
    assert difference.mean() < 0.01


@pytest.mark.parametrize(("width", "height"), [(64, 48), (34, 130)])
@pytest.mark.parametrize("spare", [0, 6])
def test_nv12_frames_are_those_that_the_encoder_is_given_on_the_cpu(width: int, height: int, spare: int) -> None:
    device, planes = HostDevice(), numbers(64, 48)
    frame = empty_nv12(device, width, height, spare)
    written(device, planes, [frame])
    luma, chroma = nv12_of(as_bytes(planes[0], ColourOrder.RGB, width, height))
    for ours, theirs in zip(nv12(device, frame), (luma, chroma), strict=True):
        difference = np.abs(ours.astype(int) - theirs)
        assert difference.max() <= 1
        assert difference.mean() < 0.01


@pytest.mark.parametrize("matrix", Matrix)
@pytest.mark.parametrize("full_range", [False, True])
def test_what_is_written_reads_back_in_each_matrix_and_range(matrix: Matrix, full_range: bool) -> None:
    device, image = HostDevice(), cv2.resize(smooth(20, 20), (80, 80), interpolation=cv2.INTER_NEAREST)[:, :79]
    planes = (image[:, :, ::-1].transpose(2, 0, 1)[None] / np.float32(255)).astype(np.float32)
    frame = empty_nv12(device, 79, 80, 0, matrix, full_range)
    written(device, planes, [frame])
    assert np.abs(bgr_of(*nv12(device, frame), matrix, full_range).astype(int) - image).max() <= 3


def test_frames_of_all_sizes_and_kinds_in_one_launch_and_in_half_precision() -> None:
    device, planes = HostDevice(), numbers(40, 30, 3).astype(np.float16)
    frames = [on_device(device, noise(40, 30)), empty_nv12(device, 80, 60), on_device(device, noise(11, 9), 1)]
    written(device, planes, frames)
    assert [name for name, _, _ in device.launches] == ["style_f16"]
    single = planes.astype(np.float32)
    np.testing.assert_array_equal(bgr(device, frames[0]), as_bytes(single[0], ColourOrder.RGB, 40, 30))
    luma, _ = nv12(device, frames[1])
    assert np.abs(luma.astype(int) - nv12_of(as_bytes(single[1], ColourOrder.RGB, 80, 60))[0]).max() <= 1
    assert np.abs(bgr(device, frames[2]).astype(int) - as_bytes(single[2], ColourOrder.RGB, 11, 9)).max() <= 1


def test_more_frames_than_pictures_are_refused() -> None:
    device = HostDevice()
    with pytest.raises(ValueError, match=r"2 frames require a tensor .*, not \[1, 3, 8, 8\]"):
        written(device, numbers(8, 8), [on_device(device, noise(8, 8))] * 2)
