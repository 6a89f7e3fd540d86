"""preprocess.cu produces the same input tensors as the CPU path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sightd.engines.cuda.launch.picture import DevicePicture, Matrix, PictureSheet
from sightd.engines.cuda.launch.preprocess import Preprocess
from sightd.engines.model import ColourOrder, InputSpec, Resize
from sightd.engines.preprocess import Geometry, prepare
from sightd.plugins.look.sheets import Part, Sheet, drawn
from tests.engines.cuda.pictures import bgr_of, noise, nv12_noise, nv12_of, nv12_on_device, on_device, smooth
from tests.engines.test_preprocess import SIDES, SPECS
from tests.support.host_kernels.device import HostDevice, HostStream

PLAIN = InputSpec("images", 64, 48, ColourOrder.BGR, Resize.LETTERBOX_CENTRE)
SIZES = [
    (1920, 1080, 320, 320),
    (641, 479, 416, 416),
    (640, 480, 320, 240),
    (33, 77, 61, 43),
    (1, 1, 8, 8),
    (9, 7, 64, 64),
]


def fed(
    device: HostDevice,
    pictures: Sequence[DevicePicture | PictureSheet],
    spec: InputSpec,
    dtype: type[np.number[Any]] = np.float32,
) -> tuple[NDArray[Any], list[Geometry]]:
    """Returns the tensor that the kernel computes from the images, and their geometries."""
    tensor = np.empty(spec.shape(len(pictures)), dtype)
    buffer, stream = device.allocate(tensor.nbytes), HostStream()
    preprocess = Preprocess(device, device, spec, len(pictures), np.dtype(dtype))
    geometries = preprocess.launch(pictures, buffer, stream)
    buffer.download(tensor, stream)
    preprocess.close()
    return tensor, geometries


def assert_near(ours: NDArray[Any], theirs: NDArray[Any], most: float = 2.0, mean: float = 0.3) -> None:
    difference = np.abs(ours.astype(np.float64) - theirs)
    assert difference.max() <= most
    assert difference.mean() <= mean


@pytest.mark.parametrize("make", [noise, smooth])
@pytest.mark.parametrize(("width", "height", "to_width", "to_height"), SIZES)
@pytest.mark.parametrize("resize", Resize)
def test_bgr_pictures_give_the_very_numbers_of_the_cpu(
    make: Any, width: int, height: int, to_width: int, to_height: int, resize: Resize
) -> None:
    device, image = HostDevice(), make(width, height)
    spec = replace(PLAIN, width=to_width, height=to_height, resize=resize)
    ours, geometries = fed(device, [on_device(device, image, spare=13)], spec)
    theirs, expected = prepare([image], spec)
    assert geometries == expected
    assert_near(ours, theirs, most=1, mean=0.001)


@settings(max_examples=60, deadline=None)
@given(SIDES, SIDES, SPECS, st.integers(0, 20))
def test_every_specification_is_fed_as_on_the_cpu(width: int, height: int, spec: InputSpec, spare: int) -> None:
    device, image = HostDevice(), noise(width, height)
    ours, _ = fed(device, [on_device(device, image, spare)], spec)
    theirs, _ = prepare([image], spec)
    grey_level = spec.scale / min(spec.std)
    assert_near(ours / grey_level, theirs / grey_level, most=1.001, mean=0.05)


@pytest.mark.parametrize(("width", "height"), [(640, 360), (322, 178)])
@pytest.mark.parametrize("resize", Resize)
def test_nv12_is_read_as_opencv_reads_it(width: int, height: int, resize: Resize) -> None:
    device, (luma, chroma) = HostDevice(), nv12_noise(width, height)
    image = np.asarray(cv2.cvtColorTwoPlane(luma, chroma, cv2.COLOR_YUV2BGR_NV12), np.uint8)
    spec = replace(PLAIN, resize=resize, width=160, height=160)
    ours, _ = fed(device, [nv12_on_device(device, luma, chroma, spare=32)], spec)
    assert_near(ours, prepare([image], spec)[0], most=1, mean=0.001)


@pytest.mark.parametrize("matrix", Matrix)
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize(("width", "height"), [(64, 48), (33, 27), (1, 1)])
def test_colours_follow_the_standard_for_each_matrix_and_range(
    matrix: Matrix, full_range: bool, width: int, height: int
) -> None:
    device, (luma, chroma) = HostDevice(), nv12_noise(width, height)
    spec = replace(PLAIN, width=width, height=height)
    ours, _ = fed(device, [nv12_on_device(device, luma, chroma, 0, matrix, full_range)], spec)
    expected = bgr_of(luma, chroma, matrix, full_range).transpose(2, 0, 1)[None]
    assert_near(ours, expected, most=1, mean=0.05)


def test_a_decoded_frame_is_read_almost_as_the_cpu_path_reads_it() -> None:
    """The CPU path gets BGR from FFmpeg's swscale, which truncates instead of rounding: one to two levels darker, at
    most three. The kernel follows the standard, so it cannot be closer than that."""
    image = smooth(320, 240)
    planar = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), np.uint8)
    decoded = av.VideoFrame.from_ndarray(planar, format="yuv420p")
    device, spec = HostDevice(), replace(PLAIN, width=300, height=300, resize=Resize.STRETCH)
    ours, _ = fed(device, [nv12_on_device(device, *nv12_of(image))], spec)
    theirs, _ = prepare([np.asarray(decoded.to_ndarray(format="bgr24"), np.uint8)], spec)
    assert_near(ours, theirs, most=4, mean=1.3)


def test_frames_of_all_sizes_and_kinds_go_into_one_launch() -> None:
    device, spec = HostDevice(), replace(PLAIN, width=96, height=64)
    first, third = noise(200, 100), smooth(31, 57)
    luma, chroma = nv12_noise(128, 96)
    pictures = [on_device(device, first), nv12_on_device(device, luma, chroma), on_device(device, third, 5)]
    ours, geometries = fed(device, pictures, spec)
    theirs, expected = prepare([first, bgr_of(luma, chroma), third], spec)
    assert geometries == expected
    assert_near(ours, theirs)
    assert [name for name, _, _ in device.launches] == ["preprocess_f32"]


PARTS = Sheet(
    96,
    64,
    (
        Part((20, 30, 60, 60), x=0, y=0),
        Part((101, 31, 161, 75), 0.5, 48, 0),
        Part((10, 10, 190, 90), 0.2, 48, 31),
        Part((120, 40, 130, 48), 2.0, 4, 40),
    ),
)
"""As large as in the frame, shrunk, with an odd corner, to less than half, and enlarged."""


def on_sheet(picture: DevicePicture, sheet: Sheet) -> PictureSheet:
    parts = [(part.view, (part.x, part.y, *part.size)) for part in sheet.parts]
    return PictureSheet(picture, sheet.width, sheet.height, parts)


@pytest.mark.parametrize("resize", Resize)
@pytest.mark.parametrize("nv12", [False, True])
def test_a_sheet_of_parts_of_a_frame_is_the_one_of_the_cpu(resize: Resize, *, nv12: bool) -> None:
    device, spec = HostDevice(), replace(PLAIN, width=96, height=64, resize=resize)
    luma, chroma = nv12_noise(200, 100)
    image = np.asarray(cv2.cvtColorTwoPlane(luma, chroma, cv2.COLOR_YUV2BGR_NV12), np.uint8)
    picture = nv12_on_device(device, luma, chroma, spare=32) if nv12 else on_device(device, image, spare=5)
    whole = noise(31, 57)
    ours, geometries = fed(device, [on_sheet(picture, PARTS), on_device(device, whole)], spec)
    theirs, expected = prepare([drawn(PARTS, image), whole], spec)
    assert geometries == expected
    assert_near(ours, theirs, most=1, mean=0.001)
    assert [name for name, _, _ in device.launches] == ["preprocess_f32"]
    assert (ours[0, :, 32:40, :40] == spec.pad).all(), "padding between the parts"


def test_a_sheet_of_another_size_than_the_input_is_refused() -> None:
    device = HostDevice()
    sheet = on_sheet(on_device(device, noise(200, 100)), PARTS)
    with pytest.raises(ValueError, match="a sheet of 96x64 px has not the size of the model's input"):
        fed(device, [sheet], replace(PLAIN, width=96, height=96))


@pytest.mark.parametrize("width", [64, 63])
def test_half_precision_is_the_same_numbers_rounded(width: int) -> None:
    device = HostDevice()
    spec = replace(
        PLAIN, width=width, scale=1 / 255, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3), colour=ColourOrder.RGB
    )
    picture = on_device(device, noise(90, 70))
    single, _ = fed(device, [picture], spec)
    half, _ = fed(device, [picture], spec, np.float16)
    np.testing.assert_array_equal(half, single.astype(np.float16))


@pytest.mark.parametrize("width", [64, 63, 61])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("resize", [Resize.STRETCH, Resize.LETTERBOX_CENTRE])
def test_colours_may_be_the_last_axis(dtype: type[np.floating[Any]], width: int, resize: Resize) -> None:
    device, images = HostDevice(), [noise(90, 70), noise(33, 80)]
    spec = replace(PLAIN, width=width, resize=resize, mean=(1.0, 2.0, 3.0), std=(2.0, 3.0, 4.0))
    pictures = [on_device(device, image) for image in images]
    planes, expected = fed(device, pictures, spec, dtype)
    ours, geometries = fed(device, pictures, replace(spec, nhwc=True), dtype)
    assert geometries == expected
    np.testing.assert_array_equal(ours, planes.transpose(0, 2, 3, 1))
    assert_near(ours, prepare(images, replace(spec, nhwc=True), np.dtype(dtype))[0], most=1, mean=0.001)


@pytest.mark.parametrize("nhwc", [False, True])
@pytest.mark.parametrize("width", [64, 63, 61])
def test_an_input_of_bytes_gets_the_pixels_as_they_are(width: int, nhwc: bool) -> None:
    device, images = HostDevice(), [noise(90, 70), smooth(200, 100)]
    spec = replace(PLAIN, width=width, nhwc=nhwc, scale=1 / 255, mean=(0.4, 0.5, 0.6), colour=ColourOrder.RGB)
    ours, _ = fed(device, [on_device(device, image) for image in images], spec, np.uint8)
    theirs, _ = prepare(images, spec, np.dtype(np.uint8))
    assert ours.dtype == np.uint8
    assert ours.shape == theirs.shape
    assert_near(ours, theirs, most=1, mean=0.001)
    assert ours.std() > 30


def test_what_does_not_fit_is_refused_before_anything_is_launched() -> None:
    device = HostDevice()
    preprocess = Preprocess(device, device, PLAIN, 1, np.dtype(np.float32))
    picture, tensor = on_device(device, noise(8, 8)), device.allocate(2 * 3 * 64 * 48 * 4)
    with pytest.raises(ValueError, match="exceeds the buffer size of 1"):
        preprocess.launch([picture] * 2, tensor, HostStream())
    with pytest.raises(ValueError, match="needs 36864 bytes, the tensor has 100"):
        preprocess.launch([picture], device.allocate(100), HostStream())
    with pytest.raises(ValueError, match="float32 and float16, not float64"):
        Preprocess(device, device, PLAIN, 1, np.dtype(np.float64))
    with pytest.raises(ValueError, match="cannot hold 8 pixels"):
        replace(picture, pitch=23)
    assert not device.launches


def test_closing_gives_all_device_memory_back() -> None:
    device = HostDevice()
    preprocess = Preprocess(device, device, PLAIN, 4, np.dtype(np.float32))
    assert device.buffers
    preprocess.close()
    preprocess.close()
    assert not device.buffers
    assert not device.pinned_arrays
