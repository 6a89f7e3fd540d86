"""The bar code itself: tests and benchmarks measure with it, so it must be right."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightd.daemon.capture.picture import to_bgr
from tests.support.barcode import Bar, get_bar, put_bar
from tests.support.clips import write_clip


@given(number=st.integers(0, 2**24 - 1), made_us=st.integers(0, 2**40 - 1), width=st.sampled_from([320, 641, 1280]))
def test_what_was_put_is_read(number: int, made_us: int, width: int) -> None:
    for shape in ((64, width), (64, width, 3)):
        picture = np.full(shape, 90, np.uint8)
        put_bar(picture, number, made_us)
        assert get_bar(picture) == Bar(number, made_us)


def test_a_picture_without_a_bar_gives_none() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (240, 320, 3), dtype=np.uint8)
    assert get_bar(noise) is None


def test_a_covered_bar_gives_none_and_never_a_wrong_number() -> None:
    picture = np.full((240, 320, 3), 90, np.uint8)
    put_bar(picture, 1234)
    cv2.rectangle(picture, (100, 220), (160, 240), (255, 255, 255), -1)
    assert get_bar(picture) is None


def test_age_is_counted_over_the_wrap_of_the_clock() -> None:
    assert Bar(0, 2**40 - 500_000).age(now_us=500_000) == pytest.approx(1.0)


@pytest.mark.parametrize("size", [(320, 240), (640, 360), (1280, 720)])
def test_it_survives_h264(tmp_path: Path, size: tuple[int, int]) -> None:
    with av.open(str(write_clip(tmp_path / "clip.mp4", size=size, frames=12, first=100))) as container:
        bars = [get_bar(to_bgr(frame)) for frame in container.decode(video=0)]
    assert [bar.number for bar in bars if bar is not None] == list(range(100, 112))
