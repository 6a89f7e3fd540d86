"""face_crop.cu returns the same crops as OpenCV's warp with the same transform."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sightd.engines.cuda.launch.faces import FaceCrop
from sightd.engines.cuda.launch.picture import DevicePicture
from sightd.engines.geometry import ARCFACE, similarity
from sightd.engines.model import ColourOrder, InputSpec, Resize
from tests.engines.cuda.pictures import bgr_of, noise, nv12_noise, nv12_on_device, on_device, smooth
from tests.engines.cuda.test_preprocess import assert_near
from tests.support.host_kernels.device import HostDevice, HostStream

SPEC = InputSpec("data", 112, 112, ColourOrder.RGB, Resize.STRETCH)


def face(scale: float, angle: float, x: float, y: float, seed: int = 0) -> NDArray[np.float32]:
    """Returns five points: the template rotated, scaled and shifted, with a little noise on each."""
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = (ARCFACE - 56) @ turn.T + [x, y] + np.random.default_rng(seed).normal(0, scale, (5, 2))
    return points.astype(np.float32)


FACES = [
    face(0.4, 0.1, 90, 70),
    face(1.7, -0.6, 100, 100),
    face(1.0, 2.9, 60, 40),
    face(0.7, 0.0, 8, 5),
    face(3, 0.2, 900, 9),
]


def cropped(
    device: HostDevice,
    faces: list[tuple[DevicePicture, NDArray[np.float32]]],
    spec: InputSpec = SPEC,
    dtype: type[np.number[Any]] = np.float32,
) -> NDArray[Any]:
    tensor = np.empty(spec.shape(len(faces)), dtype)
    buffer = device.allocate(tensor.nbytes)
    crop = FaceCrop(device, device, spec, len(faces), np.dtype(dtype))
    crop.launch(faces, buffer, HostStream())
    crop.close()
    buffer.download(tensor, None)
    return tensor


def warped(image: NDArray[np.uint8], points: NDArray[np.float32], size: int = 112) -> NDArray[np.float32]:
    """Returns the result of the CPU path: OpenCV's warp with the same transform, RGB planes."""
    crop = cv2.warpAffine(image, similarity(points, ARCFACE * size / 112), (size, size), flags=cv2.INTER_LINEAR)
    return np.asarray(crop)[:, :, ::-1].transpose(2, 0, 1).astype(np.float32)


@pytest.mark.parametrize("make", [noise, smooth])
def test_faces_of_any_size_and_turn_also_at_and_beyond_the_edge(make: Any) -> None:
    device, image = HostDevice(), make(231, 177)
    picture = on_device(device, image, spare=3)
    ours = cropped(device, [(picture, points) for points in FACES])
    assert_near(ours, np.stack([warped(image, points) for points in FACES]))
    assert [name for name, _, _ in device.launches] == ["face_crop_f32"]
    assert ours[:4].any(axis=(1, 2, 3)).all()
    assert not ours[4].any()


def test_faces_of_several_pictures_of_both_kinds_in_one_launch() -> None:
    device, image = HostDevice(), noise(200, 150)
    luma, chroma = nv12_noise(160, 120)
    pictures = [on_device(device, image), nv12_on_device(device, luma, chroma)]
    ours = cropped(device, [(pictures[1], FACES[0]), (pictures[0], FACES[1]), (pictures[1], FACES[2])])
    converted = bgr_of(luma, chroma)
    theirs = [warped(converted, FACES[0]), warped(image, FACES[1]), warped(converted, FACES[2])]
    assert_near(ours, np.stack(theirs))


def test_the_input_specification_is_followed() -> None:
    device, image = HostDevice(), noise(120, 120)
    spec = replace(SPEC, width=98, height=98, scale=1 / 127.5, mean=(1.0, 1.0, 1.0))
    faces = [(on_device(device, image), FACES[0])]
    single = cropped(device, faces, spec)
    assert_near((single[0] + 1) * 127.5, warped(image, FACES[0], 98))
    np.testing.assert_array_equal(cropped(device, faces, spec, np.float16), single.astype(np.float16))


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.uint8])
def test_colours_may_be_the_last_axis_and_bytes_get_the_pixels(dtype: type[np.number[Any]]) -> None:
    device, image = HostDevice(), noise(231, 177)
    spec = replace(SPEC, scale=1 / 127.5, mean=(1.0, 1.0, 1.0))
    faces = [(on_device(device, image), points) for points in FACES[:4]]
    planes = cropped(device, faces, spec, dtype)
    np.testing.assert_array_equal(cropped(device, faces, replace(spec, nhwc=True), dtype), planes.transpose(0, 2, 3, 1))
    if dtype is np.uint8:
        assert_near(planes, np.stack([warped(image, points) for points in FACES[:4]]))


def test_points_that_coincide_are_refused() -> None:
    device = HostDevice()
    with pytest.raises(ValueError, match="coincide"):
        cropped(device, [(on_device(device, noise(9, 9)), np.full((5, 2), 4, np.float32))])
