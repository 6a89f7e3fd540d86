"""Recordings are played in real time, on one continuous time line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightd.daemon.capture.pacing import Pacer, PresentationTimes, Timeline


def test_the_first_picture_is_due_at_once() -> None:
    assert Pacer().wait(123.0, now=5.0) == 0.0


def test_each_picture_is_due_at_its_distance_from_the_first() -> None:
    pacer = Pacer()
    pacer.wait(0.0, 10.0)
    assert pacer.wait(0.04, 10.01) == pytest.approx(0.03)


@given(st.lists(st.floats(0.0, 0.03), min_size=1, max_size=200))
def test_oversleeping_does_not_add_up(oversleeps: list[float]) -> None:
    pacer, now = Pacer(), 100.0
    pacer.wait(0.0, now)
    for number, oversleep in enumerate(oversleeps, start=1):
        now += pacer.wait(number * 0.04, now) + oversleep
        assert number * 0.04 - 1e-6 <= now - 100.0 <= number * 0.04 + 0.03 + 1e-6


def test_who_is_a_little_late_does_not_wait_until_it_has_caught_up() -> None:
    pacer = Pacer(tolerance=1.0)
    pacer.wait(0.0, 0.0)
    assert pacer.wait(0.1, 0.5) == 0.0
    assert pacer.wait(0.6, 0.5) == pytest.approx(0.1)


def test_who_is_far_too_late_goes_on_from_there_without_a_rush() -> None:
    pacer = Pacer(tolerance=1.0)
    pacer.wait(0.0, 0.0)
    assert pacer.wait(0.04, 60.0) == 0.0
    assert pacer.wait(0.08, 60.0) == pytest.approx(0.04)


def test_a_second_play_follows_the_first_by_one_interval() -> None:
    timeline = Timeline()
    places = [timeline.place(time, 0.5) for time in (3.0, 3.5, 4.0)]
    timeline.new_play()
    places += [timeline.place(time, 0.5) for time in (3.0, 3.5, 4.0)]
    assert places == pytest.approx([0.0, 0.5, 1.0, 1.5, 2.0, 2.5])


def test_only_decoding_times_are_taken_if_there_are_no_others() -> None:
    times = PresentationTimes(decoding_only=True)
    assert [times.of(*pair) for pair in [(2, 4), (6, 6), (4, 8), (7, None)]] == [4, 6, 8, None]


def test_a_single_picture_is_shown_for_a_second_before_it_is_played_again() -> None:
    timeline, places = Timeline(), list[float]()
    for _ in range(3):
        timeline.new_play()
        places.append(timeline.place(0.0, 0.001))
    assert places == [0.0, 1.0, 2.0]


def test_a_very_short_play_is_followed_by_a_pause() -> None:
    timeline, places = Timeline(), list[float]()
    for _ in range(3):
        timeline.new_play()
        places += [timeline.place(time, 0.02) for time in (0.0, 0.02)]
    assert places == pytest.approx([0.0, 0.02, 0.25, 0.27, 0.5, 0.52])


def test_pictures_without_a_time_follow_by_one_interval() -> None:
    timeline = Timeline()
    assert [timeline.place(None, 0.25) for _ in range(3)] == [0.0, 0.25, 0.5]


def test_a_leap_of_time_within_a_recording_is_closed() -> None:
    timeline = Timeline(longest_gap=10.0)
    places = [timeline.place(time, 1.0) for time in (0.0, 1.0, 9000.0, 9001.0, 5.0, 6.0)]
    assert places == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6), st.just("again")), max_size=50))
def test_time_never_goes_back(times: list[float | str | None]) -> None:
    timeline, last = Timeline(), 0.0
    for time in times:
        if isinstance(time, str):
            timeline.new_play()
            continue
        place = timeline.place(time, 0.04)
        assert last <= place <= last + 10.0 + 1e-6
        last = place


def test_presentation_times_are_taken_as_they_are_if_they_rise() -> None:
    times = PresentationTimes()
    assert [times.of(pts, None) for pts in (0, 1, 5)] == [0, 1, 5]
    assert times.of(None, 9) == 9


def test_decoding_times_are_taken_if_presentation_times_jump_back_more_often() -> None:
    """AVI files with B-frames have decoding times in both fields."""
    times = PresentationTimes()
    pairs = [(1, 2), (3, 3), (2, 4), (5, 5), (6, 6), (4, 7), (8, 8), (7, 9)]
    assert [times.of(*pair) for pair in pairs] == [1, 3, 4, 5, 6, 7, 8, 9]
