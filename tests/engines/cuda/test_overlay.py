"""overlay.cu draws marks on frames like the CPU's sprites."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sightd.daemon.render.text import rounded
from sightd.engines.cuda.launch.drawing import Mark, Mask, Outline, OverlayKernel, Trail
from sightd.engines.cuda.launch.picture import DevicePicture
from tests.engines.cuda.pictures import noise, nv12_noise, nv12_on_device, on_device
from tests.engines.cuda.test_style import bgr, nv12
from tests.support.host_kernels.device import HostDevice, HostStream

BLOCKY = np.random.default_rng(1).integers(0, 256, (9, 7), np.uint8)


def drawn(device: HostDevice, scenes: Sequence[tuple[DevicePicture, Sequence[Mark]]]) -> None:
    overlay = OverlayKernel(device, device, len(scenes))
    overlay.launch(scenes, HostStream())
    overlay.close()


def cover(mark: Mark, width: int, height: int) -> NDArray[np.float64]:
    """Returns how much of each image pixel a mark covers (0-1), by the CPU path's own shapes."""
    left, top, right, bottom = mark.place
    if isinstance(mark, Mask):
        shape = mark.shape / 255
    elif isinstance(mark, Trail):
        shape = beside(mark.points - (left, top), right - left, bottom - top, mark.thickness)
    else:
        shape = frame_of(mark, right - left, bottom - top, mark.thickness)
        across, down = np.arange(right - left), np.arange(bottom - top)
        near_x, near_y = np.minimum(across, across[::-1]) < mark.arm, np.minimum(down, down[::-1]) < mark.arm
        corner = near_x[None, :] & near_y[:, None]
        shape = np.where(corner, frame_of(mark, right - left, bottom - top, mark.accent), shape)
    whole = np.zeros((height + 800, width + 800))
    whole[400 + top : 400 + bottom, 400 + left : 400 + right] = shape * mark.cover
    return whole[400 : 400 + height, 400 : 400 + width]


def frame_of(mark: Outline, width: int, height: int, thickness: float) -> NDArray[np.float64]:
    whole = rounded(width, height, mark.radius).astype(np.float64)
    if min(width, height) <= 2 * thickness:
        return whole
    return np.maximum(whole - rounded(width, height, max(0, mark.radius - thickness), thickness), 0)


def beside(points: NDArray[np.float32], width: int, height: int, thickness: float) -> NDArray[np.float64]:
    """Returns 1 for pixels within half the thickness of the line, falling off over half a pixel beyond."""
    x, y = np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64))
    nearest = np.full((height, width), np.inf)
    for (ax, ay), (bx, by) in zip(points[:-1].tolist(), points[1:].tolist(), strict=True):
        squared = (bx - ax) ** 2 + (by - ay) ** 2
        at = np.clip(((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / squared, 0, 1) if squared else 0.0
        nearest = np.minimum(nearest, np.hypot(x - ax - at * (bx - ax), y - ay - at * (by - ay)))
    return np.clip(thickness / 2 + 0.5 - nearest, 0, 1)


def painted(image: NDArray[np.uint8], marks: Sequence[Mark]) -> NDArray[np.float64]:
    """Returns the result of the CPU path, in float64."""
    result = image.astype(np.float64)
    for mark in marks:
        of_mark = cover(mark, image.shape[1], image.shape[0])[:, :, None]
        result = result * (1 - of_mark) + of_mark * np.array(mark.colour)
    return result


PLACES = st.tuples(st.integers(-20, 140), st.integers(-20, 90), st.integers(1, 90), st.integers(1, 60)).map(
    lambda p: (p[0], p[1], p[0] + p[2], p[1] + p[3])
)
COLOURS = st.tuples(*[st.integers(0, 255)] * 3)
POINTS = st.lists(st.tuples(st.integers(-160, 1120), st.integers(-160, 720)), min_size=2, max_size=6).map(
    lambda points: np.array(points, np.float32) / 8
)
MARKS = st.one_of(
    st.builds(
        Outline,
        PLACES,
        COLOURS,
        st.sampled_from([1.0, 2.5, 6.0]),
        st.sampled_from([0.0, 5.0]),
        st.sampled_from([3.0, 7.0]),
        st.sampled_from([0.0, 12.0]),
        st.sampled_from([1.0, 0.6]),
    ),
    st.builds(
        lambda x, y, colour, part: Mask(x, y, np.ascontiguousarray(BLOCKY[:, :part]), colour),
        st.integers(-9, 140),
        st.integers(-9, 90),
        COLOURS,
        st.integers(1, 7),
    ),
    st.builds(Trail, POINTS, COLOURS, st.sampled_from([1.0, 3.0, 6.0]), st.sampled_from([1.0, 0.4])),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(MARKS, min_size=1, max_size=12), st.sampled_from([(133, 71), (64, 16)]))
def test_bgr_frames_are_drawn_on_as_on_the_cpu(marks: list[Mark], size: tuple[int, int]) -> None:
    device, image = HostDevice(), noise(*size)
    frame = on_device(device, image, spare=5)
    drawn(device, [(frame, marks)])
    assert np.abs(bgr(device, frame) - painted(image, marks)).max() <= 0.51 + 0.01


@settings(max_examples=15, deadline=None)
@given(st.lists(MARKS, min_size=1, max_size=8), st.sampled_from([(132, 70), (63, 17)]))
def test_nv12_frames_are_drawn_on_in_their_own_colours(marks: list[Mark], size: tuple[int, int]) -> None:
    width, height = size
    device, (luma, chroma) = HostDevice(), nv12_noise(width, height)
    frame = nv12_on_device(device, luma, chroma, spare=6)
    drawn(device, [(frame, marks)])
    expected_luma, expected_chroma = luma.astype(np.float64), chroma.astype(np.float64)
    rows, columns = chroma.shape[:2]
    for mark in marks:
        planar = cv2.cvtColor(np.full((2, 2, 3), mark.colour, np.uint8), cv2.COLOR_BGR2YUV_I420).ravel()
        y, u, v = float(planar[0]), float(planar[4]), float(planar[5])
        whole = cover(mark, 2 * columns, 2 * rows)
        of_luma, of_chroma = whole[:height, :width], whole.reshape(rows, 2, columns, 2).mean(axis=(1, 3))[..., None]
        expected_luma = expected_luma * (1 - of_luma) + of_luma * y
        expected_chroma = expected_chroma * (1 - of_chroma) + of_chroma * np.array([u, v])
    ours_luma, ours_chroma = nv12(device, frame)
    assert np.abs(ours_luma - expected_luma).max() <= 0.52
    assert np.abs(ours_chroma - expected_chroma).max() <= 0.52


def test_more_marks_than_a_tile_takes_at_a_time_stay_in_their_order() -> None:
    device, image = HostDevice(), noise(70, 20)
    frame = on_device(device, image)
    bar = np.full((20, 9), 178, np.uint8)
    marks = [Mask(i % 50, 0, bar, (i % 256, i // 3 % 256, 7)) for i in range(600)]
    drawn(device, [(frame, marks)])
    assert np.abs(bgr(device, frame) - painted(image, marks)).max() <= 0.52


def test_frames_of_all_sizes_and_kinds_have_their_own_marks_in_one_launch() -> None:
    device, first, third = HostDevice(), noise(80, 40), noise(31, 99)
    luma, chroma = nv12_noise(64, 64)
    frames = [on_device(device, first), nv12_on_device(device, luma, chroma), on_device(device, third, 2)]
    line = np.array([(3, 3), (20, 9), (60, 30)], np.float32)
    marks: list[list[Mark]] = [
        [Trail(line, (1, 2, 3), 3.0), Mask(5, 5, BLOCKY, (9, 9, 200))],
        [],
        [
            Mask(8, 50, BLOCKY.T.copy(), (0, 200, 0)),
            Trail(line[1:], (250, 2, 3), 2.0),
            Outline((0, 0, 31, 99), (200, 9, 9), 2.0),
        ],
    ]
    drawn(device, list(zip(frames, marks, strict=True)))
    assert [name for name, _, _ in device.launches] == ["overlay"]
    assert np.abs(bgr(device, frames[0]) - painted(first, marks[0])).max() <= 0.52
    np.testing.assert_array_equal(nv12(device, frames[1])[0], luma)
    assert np.abs(bgr(device, frames[2]) - painted(third, marks[2])).max() <= 0.52


def test_one_overlay_draws_more_and_fewer_marks_than_before() -> None:
    device, image = HostDevice(), noise(90, 60)
    overlay = OverlayKernel(device, device, 1)
    for count in (1, 300, 2):
        frame = on_device(device, image)
        marks: list[Mark] = [Mask(i % 70, i % 40, BLOCKY, (i % 256, 90, 7)) for i in range(count)]
        overlay.launch([(frame, marks)], HostStream())
        assert np.abs(bgr(device, frame) - painted(image, marks)).max() <= 0.52
    overlay.close()
    overlay.close()
    assert not device.pinned_arrays


def test_frames_without_marks_launch_nothing() -> None:
    device = HostDevice()
    drawn(device, [(on_device(device, noise(8, 8)), [])])
    assert not device.launches
