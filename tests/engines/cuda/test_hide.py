"""hide.cu leaves only the means of a region's cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sightd.engines.cuda.launch.drawing import Hide, Point
from sightd.engines.cuda.launch.picture import DevicePicture
from tests.engines.cuda.pictures import noise, nv12_noise, nv12_on_device, on_device
from tests.engines.cuda.test_style import bgr, nv12
from tests.support.host_kernels.device import HostDevice, HostStream

CELL = 8
PLACES: list[Point] = [(11, 9, 41, 33), (30, 20, 60, 50), (-9, 50, 13, 400), (90, 90, 90, 99), (500, 0, 600, 9)]


def hidden(
    device: HostDevice, frames: Sequence[tuple[DevicePicture, Sequence[Point]]], blur: bool, cell: int = CELL
) -> None:
    hide = Hide(device, device, len(frames), blur)
    hide.launch(frames, cell, HostStream())
    hide.close()
    hide.close()


def coarse(image: NDArray[np.uint8], cell: int, blur: bool) -> NDArray[np.float64]:
    """Returns the result of the CPU path: the whole image is reduced to cell means, then enlarged again."""
    height, width = image.shape[:2]
    rows, columns = -(-height // cell), -(-width // cell)
    # Cells at the right and bottom edge have fewer pixels; they are filled up in a way that keeps their mean.
    whole = np.full((rows * cell, columns * cell, *image.shape[2:]), np.nan)
    whole[:height, :width] = image
    small = np.nanmean(whole.reshape(rows, cell, columns, cell, *image.shape[2:]), axis=(1, 3))
    size = (columns * cell, rows * cell)
    large: Any = cv2.resize(small, size, interpolation=cv2.INTER_LINEAR if blur else cv2.INTER_NEAREST)
    return np.asarray(large[:height, :width], np.float64)


def inside(width: int, height: int) -> NDArray[np.bool_]:
    mask = np.zeros((height, width), np.bool_)
    for left, top, right, bottom in PLACES:
        left, top = max(left, 0), max(top, 0)
        if left < right and top < bottom:
            mask[top - top % 2 : bottom + bottom % 2, left - left % 2 : right + right % 2] = True
    return mask


@pytest.mark.parametrize("blur", [False, True])
@pytest.mark.parametrize(("width", "height"), [(96, 64), (101, 77)])
def test_bgr_regions_show_the_means_of_cells_and_all_else_stays(blur: bool, width: int, height: int) -> None:
    device, image = HostDevice(), noise(width, height)
    frame = on_device(device, image, spare=5)
    hidden(device, [(frame, PLACES)], blur)
    mask = inside(width, height)
    ours = bgr(device, frame)
    np.testing.assert_array_equal(ours[~mask], image[~mask])
    assert np.abs(ours - coarse(image, CELL, blur))[mask].max() <= 1


@pytest.mark.parametrize("blur", [False, True])
@pytest.mark.parametrize(("width", "height"), [(96, 64), (101, 77)])
def test_nv12_regions_too_in_luma_and_chroma(blur: bool, width: int, height: int) -> None:
    device, (luma, chroma) = HostDevice(), nv12_noise(width, height)
    frame = nv12_on_device(device, luma, chroma, spare=4)
    hidden(device, [(frame, PLACES)], blur)
    mask = inside(width, height)
    ours_luma, ours_chroma = nv12(device, frame)
    np.testing.assert_array_equal(ours_luma[~mask], luma[~mask])
    assert np.abs(ours_luma - coarse(luma, CELL, blur))[mask].max() <= 1
    of_chroma = mask[::2, ::2]
    np.testing.assert_array_equal(ours_chroma[~of_chroma], chroma[~of_chroma])
    if width % 2 == 0:  # otherwise the last column's chroma covers one pixel, not two
        assert np.abs(ours_chroma - coarse(chroma, CELL // 2, blur))[of_chroma].max() <= 1


def test_frames_of_all_sizes_and_kinds_go_into_two_launches() -> None:
    device, image = HostDevice(), noise(50, 90)
    luma, chroma = nv12_noise(64, 32)
    frames = [on_device(device, image), nv12_on_device(device, luma, chroma)]
    hidden(device, [(frames[0], [(0, 0, 50, 90)]), (frames[1], [(0, 0, 10, 10)])], False)
    assert [name for name, _, _ in device.launches] == ["cell_means", "hide"]
    assert np.abs(bgr(device, frames[0]) - coarse(image, CELL, False)).max() <= 1
    assert np.abs(nv12(device, frames[1])[0] - coarse(luma, CELL, False))[:10, :10].max() <= 1


def test_nothing_to_hide_launches_nothing_and_odd_cells_are_refused() -> None:
    device = HostDevice()
    hidden(device, [(on_device(device, noise(8, 8)), [(3, 3, 3, 9)])], True)
    assert not device.launches
    with pytest.raises(ValueError, match="even and at least 2 pixels, not 5"):
        Hide(device, device, 1).launch([], 5, HostStream())
