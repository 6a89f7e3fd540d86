"""How a feed reacts to each event, and when it retries."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sightd.daemon.capture.errors import Reason
from sightd.daemon.capture.reconnect import FeedState, ReconnectPolicy, ReconnectState


def live(policy: ReconnectPolicy, *, recorded: bool = False, now: float = 0.0) -> ReconnectState:
    connection = ReconnectState(policy, now)
    connection.opening(now)
    connection.opened(now, recorded=recorded)
    connection.packet(now)
    connection.frame(now)
    return connection


def test_a_new_feed_opens_its_camera_at_once() -> None:
    connection = ReconnectState(ReconnectPolicy(), now=7.0)
    assert (connection.state, connection.next_attempt) == (FeedState.CONNECTING, 7.0)


def test_it_is_live_from_the_first_frame_on_and_not_from_the_opening() -> None:
    connection = ReconnectState(ReconnectPolicy(), 0.0)
    connection.opening(0.0)
    connection.opened(1.0, recorded=False)
    assert connection.state is FeedState.CONNECTING
    connection.frame(2.0)
    assert (connection.state, connection.since) == (FeedState.LIVE, 2.0)


def test_waits_double_up_to_the_longest() -> None:
    connection = ReconnectState(ReconnectPolicy(initial_delay=0.5, max_delay=4.0), 0.0)
    waits = []
    for _ in range(6):
        connection.opening(0.0)
        connection.failed(Reason.REFUSED, 0.0, chance=0.0)
        waits.append(connection.next_attempt)
    assert waits == [0.5, 1.0, 2.0, 4.0, 4.0, 4.0]


def test_each_failed_attempt_gives_the_next_one_more_time_to_open_up_to_three_times_the_first() -> None:
    connection = ReconnectState(ReconnectPolicy(opening=10.0, steady=5.0), 0.0)
    limits = []
    for _ in range(4):
        limits.append(connection.opening_limit)
        connection.opening(0.0)
        connection.failed(Reason.TIMEOUT, 0.0, chance=0.0)
    assert limits == [10.0, 20.0, 30.0, 30.0]
    connection.opening(0.0)
    connection.opened(0.0, recorded=False)
    connection.frame(0.0)
    connection.frame(5.0)
    assert connection.opening_limit == 10.0


def test_a_source_without_a_limit_may_open_for_as_long_as_it_takes() -> None:
    assert ReconnectState(ReconnectPolicy(opening=None), 0.0).opening_limit is None


def test_chance_shortens_a_wait_by_up_to_a_quarter() -> None:
    connection = ReconnectState(ReconnectPolicy(initial_delay=4.0), 10.0)
    connection.opening(10.0)
    connection.failed(Reason.REFUSED, 10.0, chance=1.0)
    assert connection.next_attempt == 13.0


def test_the_end_of_a_live_stream_is_a_fault() -> None:
    connection = live(ReconnectPolicy(initial_delay=0.5))
    assert connection.finished(1.0, 0.0) is Reason.EOF
    assert (connection.state, connection.next_attempt) == (FeedState.WAITING, 1.5)


def test_the_end_of_a_looping_recording_begins_it_again_at_once_and_it_stays_live() -> None:
    connection = live(ReconnectPolicy(timeout=None, loop=True), recorded=True)
    assert connection.finished(1.0, 0.0) is None
    assert (connection.state, connection.next_attempt) == (FeedState.LIVE, 1.0)
    connection.opening(1.0)
    assert connection.state is FeedState.LIVE


def test_the_end_of_a_recording_that_does_not_loop_is_the_end() -> None:
    connection = live(ReconnectPolicy(timeout=None, loop=False), recorded=True)
    assert connection.finished(1.0, 0.0) is None
    assert connection.over
    assert (connection.state, connection.next_attempt) == (FeedState.ENDED, None)


def test_a_recording_without_a_picture_is_a_fault_and_not_a_busy_loop() -> None:
    connection = ReconnectState(ReconnectPolicy(timeout=None, loop=True), 0.0)
    connection.opening(0.0)
    connection.opened(0.0, recorded=True)
    assert connection.finished(0.0, 0.0) is Reason.NO_VIDEO
    assert connection.state is FeedState.WAITING


def test_a_camera_that_flaps_waits_longer_each_time() -> None:
    connection = ReconnectState(ReconnectPolicy(initial_delay=0.5, max_delay=8.0, steady=5.0), 0.0)
    waits, now = [], 0.0
    for _ in range(4):
        connection.opening(now)
        connection.opened(now, recorded=False)
        connection.frame(now)
        connection.frame(now + 4.9)
        connection.finished(now + 4.9, 0.0)
        assert connection.next_attempt is not None
        waits.append(round(connection.next_attempt - now - 4.9, 6))
        now = connection.next_attempt
    assert waits == [0.5, 1.0, 2.0, 4.0]


def test_a_camera_that_ran_steadily_is_tried_again_after_the_first_wait() -> None:
    connection = live(ReconnectPolicy(initial_delay=0.5, steady=5.0))
    connection.attempts = 7
    connection.frame(5.0)
    connection.failed(Reason.TIMEOUT, 6.0, 0.0)
    assert connection.next_attempt == 6.5


def test_silence_longer_than_the_timeout_is_a_fault() -> None:
    connection = live(ReconnectPolicy(timeout=3.0))
    assert connection.lost(3.0) is None
    assert connection.lost(3.1) is Reason.TIMEOUT


def test_a_camera_that_sends_nothing_after_it_was_opened_is_silent_too() -> None:
    connection = ReconnectState(ReconnectPolicy(timeout=3.0), 0.0)
    connection.opening(0.0)
    connection.opened(2.0, recorded=False)
    assert connection.lost(4.9) is None
    assert connection.lost(5.1) is Reason.TIMEOUT


def test_data_without_a_picture_is_borne_for_a_while_and_then_a_fault() -> None:
    connection = live(ReconnectPolicy(timeout=3.0, blind=10.0))
    for second in range(1, 11):
        assert connection.lost(float(second)) is None
        connection.packet(float(second))
    assert connection.lost(10.5) is Reason.DECODE


def test_a_source_that_is_asked_once_a_minute_is_not_silent_in_between() -> None:
    connection = ReconnectState(ReconnectPolicy(timeout=3.0, blind=10.0), 0.0)
    connection.opening(0.0)
    connection.opened(0.0, recorded=False, interval=60.0)
    connection.packet(0.1)
    connection.frame(0.1)
    assert connection.lost(63.0) is None
    assert connection.lost(63.2) is Reason.TIMEOUT
    connection.packet(63.0)
    assert connection.lost(65.0) is None
    connection.packet(69.0)
    assert connection.lost(70.2) is Reason.DECODE


def test_a_camera_of_a_picture_a_minute_is_not_lost_within_a_timeout_that_says_so() -> None:
    connection = live(ReconnectPolicy(timeout=90.0, blind=10.0))
    assert connection.lost(89.0) is None


def test_a_recording_is_never_silent() -> None:
    assert live(ReconnectPolicy(timeout=3.0), recorded=True).lost(1000.0) is None


def test_stopping_twice_is_safe_and_nothing_is_tried_afterwards() -> None:
    connection = live(ReconnectPolicy())
    connection.stop(1.0)
    connection.stop(2.0)
    assert (connection.state, connection.since, connection.next_attempt) == (FeedState.STOPPED, 1.0, None)


def test_a_recording_that_ended_stays_ended_when_it_is_stopped() -> None:
    connection = live(ReconnectPolicy(loop=False), recorded=True)
    connection.finished(1.0, 0.0)
    connection.stop(2.0)
    assert connection.state is FeedState.ENDED


def test_an_event_that_cannot_happen_is_called_a_defect() -> None:
    with pytest.raises(RuntimeError, match="bug in sightd"):
        ReconnectState(ReconnectPolicy(), 0.0).frame(0.0)


class AnyCamera(RuleBasedStateMachine):
    """Simulates a camera that does anything in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.policy = ReconnectPolicy(initial_delay=0.5, max_delay=8.0, steady=5.0, timeout=3.0, loop=False)
        self.now = 100.0
        self.connection = ReconnectState(self.policy, self.now)
        self.open = False
        self.waits: list[float] = []

    @rule(seconds=st.floats(0.0, 20.0))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.connection.next_attempt is not None)
    @rule()
    def opens(self) -> None:
        self.now = max(self.now, self.connection.next_attempt or 0.0)
        self.connection.opening(self.now)
        self.connection.opened(self.now, recorded=False)
        self.open = True

    @precondition(lambda self: self.open)
    @rule()
    def sends(self) -> None:
        self.connection.packet(self.now)
        self.connection.frame(self.now)
        assert self.connection.state is FeedState.LIVE

    @precondition(lambda self: self.open)
    @rule(chance=st.floats(0.0, 1.0), eof=st.booleans())
    def goes_away(self, chance: float, eof: bool) -> None:
        if eof:
            self.connection.finished(self.now, chance)
        else:
            self.connection.failed(Reason.TIMEOUT, self.now, chance)
        self.open = False
        assert self.connection.next_attempt is not None
        wait = self.connection.next_attempt - self.now
        assert 0.75 * self.policy.initial_delay - 1e-6 <= wait <= self.policy.max_delay + 1e-6

    @rule()
    def is_stopped(self) -> None:
        self.connection.stop(self.now)
        self.open = False

    @invariant()
    def it_is_open_waits_or_is_over(self) -> None:
        connection = self.connection
        assert self.open + (connection.next_attempt is not None) + connection.over == 1
        assert connection.since <= self.now

    @invariant()
    def it_is_lost_only_after_silence(self) -> None:
        if not self.open:
            assert self.connection.lost(self.now) is None


TestAnyCamera = AnyCamera.TestCase
