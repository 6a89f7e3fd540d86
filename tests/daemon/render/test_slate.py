"""The slate of a lost camera is dark, of the right size, and legible."""

import time

import numpy as np
import pytest

from sightd.daemon.capture.reasons import Reason
from sightd.daemon.render.slate import SlateReason, SlateWords, slate
from sightd.daemon.render.theme import contrast
from sightd.plugins.api import Image
from tests.daemon.render.scenes import grey

OFFLINE = SlateWords(SlateReason.OFFLINE, 1000.0, Reason.TIMEOUT)


def noise(width: int, height: int) -> Image:
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("size", [(64, 48), (640, 272), (1280, 720), (720, 1280), (3840, 2160)])
def test_it_has_the_size_of_the_stream(size: tuple[int, int]) -> None:
    for last in (None, noise(320, 180)):
        image = slate(last, size, "front door", OFFLINE)
        assert image.shape == (size[1], size[0], 3)
        assert image.dtype == np.uint8
        assert image.flags.writeable


def test_the_last_picture_is_dimmed_and_not_touched() -> None:
    last = noise(640, 360)
    before = last.copy()
    image = slate(last, (640, 360), "front door", OFFLINE)
    assert np.array_equal(last, before)
    assert image[:60].mean() < 0.7 * last.mean()


def test_what_was_in_the_picture_can_still_be_guessed() -> None:
    last = grey(640, 360, 20)
    last[:, 320:] = 220
    image = slate(last, (640, 360), "front door", OFFLINE)
    assert image[30, 100:200].mean() + 30 < image[30, 440:540].mean()


def test_letters_are_legible_even_on_a_white_picture() -> None:
    image = slate(grey(640, 360, 255), (640, 360), "front door", OFFLINE)
    assert image[:60].max() <= 96
    assert contrast((96, 96, 96), (218, 222, 226)) >= 4.5
    assert image.max() == 255


def test_it_tells_since_when_and_that_it_is_still_connecting() -> None:
    words = [
        SlateWords(SlateReason.CONNECTING),
        SlateWords(SlateReason.UNREACHED, 1000.0),
        SlateWords(SlateReason.UNREACHED, 1061.0),
    ]
    assert len({slate(None, (640, 360), "a", one).tobytes() for one in words}) == 3


@pytest.mark.parametrize("reason", Reason)
def test_it_says_why_there_is_no_picture(reason: Reason) -> None:
    at = time.strftime("%H:%M:%S", time.localtime(1000.0))
    assert str(SlateWords(SlateReason.UNREACHED, 1000.0, reason)) == f"{reason.words} since {at}"
    assert str(SlateWords(SlateReason.OFFLINE, 1000.0, reason)) == f"offline since {at}: {reason.words}"
    assert "refused" in Reason.UNAUTHORISED.words


def test_the_words_stand_in_the_middle() -> None:
    image = slate(None, (640, 360), "front door", OFFLINE)
    rows, columns = np.nonzero(image.max(axis=2) > 150)
    assert abs((columns.min() + columns.max()) / 2 - 320) < 6
    assert 120 < rows.min() < rows.max() < 240


@pytest.mark.parametrize("title", ["", "正門カメラ · Haustür", "a very long camera name " * 4])
def test_any_title_can_be_shown(title: str) -> None:
    for size in ((640, 360), (64, 48)):
        titled, untitled = (slate(noise(640, 360), size, text, OFFLINE) for text in (title, " "))
        assert titled.shape == (size[1], size[0], 3)
        assert np.array_equal(titled, untitled) is (title == "")
    columns = np.nonzero(slate(None, (640, 360), title, OFFLINE).max(axis=2) > 150)[1]
    assert 0 < columns.min() < columns.max() < 639, "cut, so that it does not run into the picture's edges"


def test_a_recording_at_its_end_is_not_called_offline() -> None:
    last = grey(640, 360, 90)
    offline = slate(last, (640, 360), "clip", OFFLINE).astype(int)
    ended = slate(last, (640, 360), "clip", SlateWords(SlateReason.ENDED, 1000.0)).astype(int)

    def reddest(image: np.ndarray) -> int:
        return int((image[..., 2] - image[..., 0]).max())

    assert reddest(offline) > 100, "the dot that says that something is wrong"
    assert reddest(ended) < 30
