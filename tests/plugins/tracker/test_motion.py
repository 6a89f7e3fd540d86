"""The motion filter: its predictions, and that irregular intervals make no difference."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sightd.plugins.tracker import motion
from sightd.plugins.tracker.motion import Rows

boxes = arrays(np.float64, (3, 4), elements=st.floats(0, 4000))
SURE = np.full(1, 0.9)
intervals = st.lists(st.floats(0, 2), min_size=1, max_size=6)


def walked(speed: float, interval: float, looks: int) -> Rows:
    """Returns the state of a 60x150 box that was seen moving right at `speed` px/s, once per `interval` s."""
    states = motion.begin(np.array([[100.0, 300.0, 60.0, 150.0]]))
    for look in range(1, looks):
        at = 100 + speed * interval * look
        states = motion.observe(states, np.array([interval]), np.array([[at, 300.0, 60.0, 150.0]]), SURE)
    return states


def test_an_object_seen_once_is_predicted_where_it_was() -> None:
    box = np.array([[100.0, 300.0, 60.0, 150.0]])
    np.testing.assert_array_equal(motion.predict(motion.begin(box), np.array([0.7])), box)


def test_a_steady_walk_is_continued() -> None:
    for interval in (0.04, 0.1, 0.25):
        states = walked(120, interval, looks=round(2 / interval))
        last = 100 + 120 * interval * (round(2 / interval) - 1)
        np.testing.assert_allclose(motion.predict(states, np.array([0.5]))[0, 0], last + 60, atol=3)


def test_velocity_is_found_in_pixels_a_second_at_any_rate() -> None:
    for interval in (0.04, 0.1, 0.25):
        velocity = walked(120, interval, looks=round(3 / interval))[0, motion.VELOCITY]
        np.testing.assert_allclose(velocity, [120, 0, 0, 0], atol=2)


@given(boxes, st.floats(0, 1), st.floats(0, 1))
def test_a_look_after_two_intervals_is_a_look_after_their_sum(some: Rows, first: float, second: float) -> None:
    """A missed frame between two observations leaves no trace: the filter depends on time, not on frames."""
    states = motion.begin(some)
    both = np.full(3, first + second)
    ahead = motion.predict(states, np.full(3, first)) + states[:, motion.VELOCITY] * second
    np.testing.assert_allclose(motion.predict(states, both), np.maximum(ahead, motion.predict(states, both)), atol=1e-6)


@given(boxes, intervals)
def test_states_stay_finite_and_variances_positive(some: Rows, waits: list[float]) -> None:
    states = motion.begin(some)
    for wait in waits:
        states = motion.observe(states, np.full(3, wait), some[::-1], np.full(3, 0.9))
    assert np.isfinite(states).all()
    assert (states[:, 8:12] > 0).all()


@given(boxes, st.floats(-1, 5))
def test_a_box_is_never_predicted_inside_out(some: Rows, elapsed: float) -> None:
    states = motion.observe(motion.begin(some), np.full(3, 0.1), some / 2, np.full(3, 0.9))
    assert (motion.predict(states, np.full(3, elapsed))[:, 2:] >= 0).all()


def test_looking_twice_at_the_same_time_is_harmless() -> None:
    states = walked(120, 0.04, looks=20)
    again = motion.observe(states, np.zeros(1), motion.predict(states, np.zeros(1)), SURE)
    np.testing.assert_allclose(again[:, motion.VELOCITY], states[:, motion.VELOCITY], atol=1e-6)


def test_a_doubtful_box_moves_the_state_less_than_a_sure_one() -> None:
    states, aside = walked(0, 0.1, looks=10), np.array([[140.0, 300.0, 60.0, 150.0]])
    sure, doubtful = (motion.observe(states, np.full(1, 0.1), aside, np.array([score])) for score in (0.95, 0.3))
    assert 100 < doubtful[0, 0] < sure[0, 0] < 140


def test_the_longer_an_object_is_out_of_sight_the_less_certain_is_its_place() -> None:
    states = walked(120, 0.1, looks=10)
    certain, less, least = (motion.deviation(states, np.array([elapsed]))[0, 0] for elapsed in (0.0, 0.5, 1.0))
    assert 0 < certain < less < least


def test_a_state_turns_shifts_and_grows_with_the_view() -> None:
    """The camera turned by 90 degrees, came twice as close and shifted by (10, 20)."""
    states = walked(120, 0.04, looks=60)
    after = motion.moved(states, np.array([[0.0, -2.0, 10.0], [2.0, 0.0, 20.0]]))
    x, y, width, height = states[0, motion.BOX]
    np.testing.assert_allclose(after[0, motion.BOX], [10 - 2 * y, 20 + 2 * x, 2 * width, 2 * height])
    np.testing.assert_allclose(after[0, motion.VELOCITY][:2], [0, 240], atol=2)
    np.testing.assert_allclose(motion.deviation(after, np.ones(1)), motion.deviation(states, np.ones(1)), rtol=1e-6)
