"""Images to tensors, and boxes back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sightd.engines.model import ColourOrder, InputSpec, Resize
from sightd.engines.preprocess import Geometry, feed, letterbox, prepare
from sightd.engines.session import TensorSpec

SIDES = st.integers(1, 90)
SPECS = st.builds(
    InputSpec,
    tensor=st.just("image"),
    width=st.integers(4, 70),
    height=st.integers(4, 70),
    colour=st.sampled_from(ColourOrder),
    resize=st.sampled_from(Resize),
    scale=st.sampled_from([1.0, 1 / 255]),
    mean=st.sampled_from([(0.0, 0.0, 0.0), (0.4, 0.5, 0.6)]),
    std=st.sampled_from([(1.0, 1.0, 1.0), (0.2, 0.25, 0.3)]),
    pad=st.integers(0, 255),
)
LETTERBOX = InputSpec("images", 8, 8, ColourOrder.BGR, Resize.LETTERBOX_TOP_LEFT)


def picture(width: int, height: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def bilinear(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.float64]:
    """Returns textbook bilinear interpolation between pixel centres, with repeated edges."""
    y = np.clip((np.arange(height) + 0.5) * image.shape[0] / height - 0.5, 0, image.shape[0] - 1)
    x = np.clip((np.arange(width) + 0.5) * image.shape[1] / width - 0.5, 0, image.shape[1] - 1)
    top, left = y.astype(int), x.astype(int)
    bottom, right = np.minimum(top + 1, image.shape[0] - 1), np.minimum(left + 1, image.shape[1] - 1)
    down, along = (y - top)[:, None, None], (x - left)[None, :, None]
    values = image.astype(np.float64)
    upper: NDArray[np.float64] = values[top][:, left] * (1 - along) + values[top][:, right] * along
    lower = values[bottom][:, left] * (1 - along) + values[bottom][:, right] * along
    mixed: NDArray[np.float64] = upper * (1 - down) + lower * down
    return mixed


def reference(image: NDArray[np.uint8], spec: InputSpec, geometry: Geometry) -> NDArray[np.float64]:
    """Implements the specification without regard to cost."""
    width = round(image.shape[1] * geometry.scale_x)
    height = round(image.shape[0] * geometry.scale_y)
    left, top = int(geometry.offset_x), int(geometry.offset_y)
    canvas = np.full((spec.height, spec.width, 3), spec.pad, np.float64)
    canvas[top : top + height, left : left + width] = bilinear(image, width, height)
    if spec.colour is ColourOrder.RGB:
        canvas = canvas[:, :, ::-1]
    values: NDArray[np.float64] = (canvas * spec.scale - spec.mean) / spec.std
    return values.transpose(2, 0, 1)


@given(SIDES, SIDES, SPECS)
def test_a_prepared_picture_is_what_the_specification_says_within_a_grey_level(
    width: int, height: int, spec: InputSpec
) -> None:
    image = picture(width, height)
    tensor, [geometry] = prepare([image], spec)
    grey_level = spec.scale / min(spec.std)
    np.testing.assert_allclose(tensor[0], reference(image, spec, geometry), atol=1.01 * grey_level)


@given(SIDES, SIDES, SPECS)
def test_boxes_go_to_the_network_and_back_unchanged(width: int, height: int, spec: InputSpec) -> None:
    _, [geometry] = prepare([picture(width, height)], spec)
    corners = np.array([[0, 0, width, height], [width / 4, height / 3, width / 2, height]], np.float32)
    scale = np.array([geometry.scale_x, geometry.scale_y] * 2)
    offset = np.array([geometry.offset_x, geometry.offset_y] * 2)
    np.testing.assert_allclose(
        geometry.boxes_to_source((corners * scale + offset).astype(np.float32)), corners, atol=1e-2
    )


@given(SIDES, SIDES, SPECS)
def test_the_picture_lies_wholly_within_the_input(width: int, height: int, spec: InputSpec) -> None:
    _, [geometry] = prepare([picture(width, height)], spec)
    right = geometry.offset_x + width * geometry.scale_x
    bottom = geometry.offset_y + height * geometry.scale_y
    assert min(geometry.offset_x, geometry.offset_y) >= 0
    assert right <= spec.width + 1e-6
    assert bottom <= spec.height + 1e-6
    if spec.resize is Resize.FIT_TOP_LEFT and (width <= spec.width and height <= spec.height):
        assert (geometry.scale_x, geometry.scale_y) == (1, 1), "never enlarged"
    elif spec.resize is not Resize.STRETCH:
        assert right > spec.width - 1 - geometry.offset_x or bottom > spec.height - 1 - geometry.offset_y


def test_boxes_are_cut_at_the_edges_of_the_picture_and_the_network_keeps_its_own() -> None:
    geometry = Geometry(0.5, 0.5, 0, 10, 200, 100)
    boxes = np.array([[-5, 0, 500, 500]], np.float32)
    assert geometry.boxes_to_source(boxes).tolist() == [[0, 0, 200, 100]]
    assert boxes.tolist() == [[-5, 0, 500, 500]]


def test_no_boxes_are_no_boxes() -> None:
    boxes = Geometry(1, 1, 0, 0, 10, 10).boxes_to_source(np.empty((0, 4), np.float32))
    assert boxes.shape == (0, 4)
    assert boxes.dtype == np.float32


def test_a_letterbox_is_padded_right_and_below() -> None:
    image = np.full((2, 4, 3), 200, np.uint8)
    tensor, _ = prepare([image], LETTERBOX)
    assert (tensor[0, :, :4] == 200).all()
    assert (tensor[0, :, 4:] == 114).all()


@pytest.mark.parametrize(
    ("resize", "size", "expected"),
    [
        (Resize.LETTERBOX_TOP_LEFT, (640, 272), (416, 176)),
        (Resize.LETTERBOX_TOP_LEFT, (1920, 1080), (416, 234)),
        (Resize.LETTERBOX_TOP_LEFT, (3, 5000), (1, 416)),
        (Resize.LETTERBOX_TOP_LEFT_ROUNDED, (640, 272), (416, 177)),
        (Resize.LETTERBOX_CENTRE, (640, 272), (416, 177)),
    ],
)
def test_a_fraction_of_a_row_is_cut_off_as_in_yolox_and_rounded_otherwise(
    resize: Resize, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    """At 416 pixels, 272 rows become 176.8."""
    spec = InputSpec("images", 416, 416, ColourOrder.BGR, resize)
    assert letterbox(*size, spec)[2:] == expected


def test_colours_come_in_the_order_asked_for() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    image[:] = (10, 20, 30)
    spec = InputSpec("image", 8, 8, ColourOrder.RGB, Resize.STRETCH)
    assert prepare([image], spec)[0][0, :, 0, 0].tolist() == [30, 20, 10]
    assert prepare([image], LETTERBOX)[0][0, :, 0, 0].tolist() == [10, 20, 30]


def test_a_model_may_take_the_colours_as_the_last_axis_and_other_types() -> None:
    spec = InputSpec("image", 9, 7, ColourOrder.RGB, Resize.LETTERBOX_CENTRE, scale=1 / 255, mean=(0.4, 0.5, 0.6))
    images = [picture(30, 20), picture(5, 90)]
    planes, expected = prepare(images, spec)
    pixels, geometries = prepare(images, replace(spec, nhwc=True), np.dtype(np.float32))
    assert pixels.shape == (2, 7, 9, 3)
    assert pixels.flags.c_contiguous
    np.testing.assert_array_equal(pixels.transpose(0, 3, 1, 2), planes)
    assert geometries == expected
    half, _ = prepare(images, spec, np.dtype(np.float16))
    np.testing.assert_array_equal(half, planes.astype(np.float16))


def test_a_uint8_input_gets_the_pixels_and_the_padding_as_they_are() -> None:
    image = picture(8, 4)
    spec = InputSpec("image", 8, 8, ColourOrder.BGR, Resize.LETTERBOX_TOP_LEFT, scale=1 / 255, nhwc=True)
    tensor, _ = prepare([image], spec, np.dtype(np.uint8))
    assert tensor.dtype == np.uint8
    np.testing.assert_array_equal(tensor[0, :4], image)
    assert (tensor[0, 4:] == 114).all()


@pytest.mark.parametrize("kind", ["i8", "i4"])
def test_a_second_input_gets_width_and_height_of_the_models_input(kind: str) -> None:
    spec = InputSpec("image", 96, 64, ColourOrder.BGR, Resize.STRETCH, size_tensor="size")
    inputs = {
        "image": TensorSpec("image", (None, 3, 64, 96), np.dtype("f4")),
        "size": TensorSpec("size", (None, 2), np.dtype(kind)),
    }
    fed, geometries = feed([picture(30, 20)] * 2, spec, inputs)
    assert fed["size"].tolist() == [[96, 64], [96, 64]]
    assert fed["size"].dtype == np.dtype(kind)
    assert fed["image"].shape == (2, 3, 64, 96)
    assert len(geometries) == 2


def test_pictures_of_different_sizes_make_one_contiguous_batch_of_the_callers_own() -> None:
    images = [picture(30, 20), picture(8, 8), picture(5, 90)]
    tensor, geometries = prepare(images, LETTERBOX)
    assert tensor.shape == (3, 3, 8, 8)
    assert tensor.dtype == np.float32
    assert tensor.flags.c_contiguous
    assert [(g.source_width, g.source_height) for g in geometries] == [(30, 20), (8, 8), (5, 90)]
    before = images[1].copy()
    tensor[:] = -1
    assert (images[1] == before).all()


def test_a_cut_out_of_a_picture_is_a_picture() -> None:
    whole = picture(60, 40)
    part = whole[5:25, 10:50]
    assert (prepare([part], LETTERBOX)[0] == prepare([part.copy()], LETTERBOX)[0]).all()


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 0, 3), np.uint8), np.zeros((4, 4, 3))],
)
def test_what_is_no_picture_is_refused(wrong: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="an image must be a non-empty uint8"):
        prepare([wrong], LETTERBOX)
