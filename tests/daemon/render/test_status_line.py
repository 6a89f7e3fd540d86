"""The status line is top left, and its text is drawn once a second."""

import numpy as np

from sightd.daemon.render.status_line import StatusLine
from sightd.plugins.api import Image
from tests.daemon.render.scenes import canvas_on, changed, grey


def drawn(
    status: StatusLine, wall: float = 1000.0, fps: float | None = 25.0, size: tuple[int, int] = (640, 360)
) -> Image:
    image = grey(*size)
    canvas = canvas_on(image)
    status.prepare(canvas, wall, fps)
    status.draw(canvas)
    return image


def test_it_stands_top_left() -> None:
    place = changed(grey(), drawn(StatusLine("front door")))
    assert place is not None
    assert place[0] < 20
    assert place[3] < 40
    assert place[2] < 320


def test_the_place_it_announces_is_the_place_it_takes() -> None:
    image = grey()
    canvas = canvas_on(image)
    status = StatusLine("front door")
    place = status.prepare(canvas, 1000.0, 25.0)
    status.draw(canvas)
    assert changed(grey(), image) == place


def test_within_a_second_nothing_changes() -> None:
    status = StatusLine("front door")
    assert np.array_equal(drawn(status, 1000.0, 25.0), drawn(status, 1000.9, 12.0))


def test_with_the_second_time_and_rate_change() -> None:
    status = StatusLine("front door")
    assert not np.array_equal(drawn(status, 1000.0), drawn(status, 1001.0))
    assert not np.array_equal(drawn(StatusLine("a"), 1000.0, 25.0), drawn(StatusLine("a"), 1000.0, 12.0))


def test_titles_in_any_script_are_shown() -> None:
    shown = [drawn(StatusLine(title)) for title in ("Haustür", "Hausträr", "正門カメラ", "正門カメ")]
    assert len({image.tobytes() for image in shown}) == 4


def test_without_a_known_rate_none_is_shown() -> None:
    with_rate, without = changed(grey(), drawn(StatusLine("a"))), changed(grey(), drawn(StatusLine("a"), fps=None))
    assert with_rate is not None
    assert without is not None
    assert without[2] < with_rate[2]


def test_a_long_title_is_cut_and_the_time_stays() -> None:
    place = changed(grey(), drawn(StatusLine("a very long name " * 5)))
    assert place is not None
    assert place[2] <= 640 - 4


def test_on_the_smallest_picture_it_harms_nothing() -> None:
    titled, untitled = (drawn(StatusLine(title), size=(64, 48)) for title in ("front door", ""))
    place = changed(grey(64, 48), titled)
    assert place is not None
    assert place[3] < 24, "the picture below stays free"
    assert np.array_equal(titled, untitled), "a title that does not fit is left out, and the time stays"


def test_a_late_picture_says_so_and_by_how_much() -> None:
    def line(late_by: float | None, *, late_only: bool = False) -> Image:
        image = grey()
        canvas = canvas_on(image)
        status = StatusLine("front door", late_only=late_only)
        status.prepare(canvas, 1000.0, 25.0, late_by)
        status.draw(canvas)
        return image

    on_time, late = changed(grey(), line(None)), changed(grey(), line(6.7))
    assert on_time is not None
    assert late is not None
    assert late[2] > on_time[2]
    assert not np.array_equal(line(6.7), line(7.6))
    alone = changed(grey(), line(6.7, late_only=True))
    assert alone is not None
    assert alone[2] < on_time[2]


def test_a_picture_that_becomes_late_says_so_at_once() -> None:
    image, status = grey(), StatusLine("front door")
    canvas = canvas_on(image)
    width = status.prepare(canvas, 1000.0, 25.0, None)[2]
    assert status.prepare(canvas, 1000.1, 25.0, 2.1)[2] > width


def test_of_a_slow_camera_it_says_how_long_a_picture_stands() -> None:
    def line(fps: float) -> Image:
        return drawn(StatusLine("a"), fps=fps)

    assert not np.array_equal(line(1 / 60), line(0.0001))
    assert not np.array_equal(line(1 / 60), line(1 / 30))
