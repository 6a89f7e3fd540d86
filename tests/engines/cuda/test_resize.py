"""resize.cu produces the same frames as OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sightd.engines.cuda.launch.picture import Matrix
from sightd.engines.cuda.launch.resize import Resize
from tests.engines.cuda.pictures import bgr_of, noise, nv12_noise, nv12_of, nv12_on_device, on_device, smooth
from tests.engines.cuda.test_style import bgr, nv12
from tests.support.host_kernels.device import HostDevice, HostStream

SIZES = [((128, 72), (128, 72)), ((128, 72), (64, 36)), ((90, 70), (61, 47)), ((33, 17), (70, 60))]


def resized(device: HostDevice, *pairs: tuple[object, object]) -> None:
    resize = Resize(device, device, len(pairs))
    resize.launch(pairs, HostStream())  # type: ignore[arg-type]
    resize.close()


@pytest.mark.parametrize(("size", "wanted"), SIZES)
def test_bgr_pictures_are_resized_to_the_bit(size: tuple[int, int], wanted: tuple[int, int]) -> None:
    device, image = HostDevice(), noise(*size)
    frame = on_device(device, np.zeros((wanted[1], wanted[0], 3), np.uint8), spare=7)
    resized(device, (on_device(device, image, spare=3), frame))
    np.testing.assert_array_equal(bgr(device, frame), cv2.resize(image, wanted, interpolation=cv2.INTER_LINEAR))


@pytest.mark.parametrize("matrix", Matrix)
@pytest.mark.parametrize("full_range", [False, True])
def test_any_camera_s_colours_become_those_that_encoders_take(matrix: Matrix, full_range: bool) -> None:
    """BT.601 in limited range, like the CPU path's conversion of BGR for the encoder."""
    device, (luma, chroma) = HostDevice(), nv12_of(smooth(96, 64))
    source = nv12_on_device(device, luma, chroma, 5, matrix, full_range)
    target = nv12_on_device(device, np.zeros((64, 96), np.uint8), np.zeros((32, 48, 2), np.uint8), 9)
    resized(device, (source, target))
    expected_luma, expected_chroma = nv12_of(bgr_of(luma, chroma, matrix, full_range))
    found_luma, found_chroma = nv12(device, target)
    assert np.abs(found_luma.astype(int) - expected_luma).max() <= 1
    assert np.abs(found_chroma.astype(int) - expected_chroma).max() <= 1


def test_pictures_of_all_sizes_go_in_one_launch() -> None:
    device, first, (luma, chroma) = HostDevice(), noise(40, 30), nv12_noise(50, 20)
    to_first = on_device(device, np.zeros((20, 30, 3), np.uint8))
    to_second = on_device(device, np.zeros((60, 33, 3), np.uint8))
    resized(device, (on_device(device, first), to_first), (nv12_on_device(device, luma, chroma), to_second))
    assert [name for name, _, _ in device.launches] == ["resize_pictures"]
    np.testing.assert_array_equal(bgr(device, to_first), cv2.resize(first, (30, 20), interpolation=cv2.INTER_LINEAR))
    expected = cv2.resize(bgr_of(luma, chroma), (33, 60), interpolation=cv2.INTER_LINEAR)
    assert np.abs(bgr(device, to_second).astype(int) - expected).max() <= 2


@pytest.mark.parametrize(("size", "wanted"), [((128, 72), (64, 36)), ((190, 108), (44, 25)), ((90, 70), (90, 70))])
def test_pictures_are_made_much_smaller_without_losing_pixels(size: tuple[int, int], wanted: tuple[int, int]) -> None:
    device, image, (luma, chroma) = HostDevice(), noise(*size), nv12_noise(*size)
    sources = on_device(device, image, spare=3), nv12_on_device(device, luma, chroma)
    targets = [on_device(device, np.zeros((wanted[1], wanted[0], 3), np.uint8)) for _ in sources]
    shrink = Resize(device, device, 2, means=True)
    shrink.launch(list(zip(sources, targets, strict=True)), HostStream())
    shrink.close()
    for target, picture in zip(targets, (image, bgr_of(luma, chroma)), strict=True):
        expected = cv2.resize(picture, wanted, interpolation=cv2.INTER_AREA)
        difference = np.abs(bgr(device, target).astype(int) - expected)
        assert difference.max() <= 1
        assert difference.mean() < 0.2, "halves are rounded up, or to even"


def test_means_do_not_enlarge() -> None:
    device = HostDevice()
    small, large = on_device(device, noise(8, 8)), on_device(device, noise(9, 8))
    with pytest.raises(ValueError, match="not enlarge it"):
        Resize(device, device, 1, means=True).launch([(small, large)], HostStream())


def test_nothing_to_do_launches_nothing() -> None:
    device = HostDevice()
    Resize(device, device, 1).launch([], HostStream())
    assert not device.launches
