"""The breaker disables a plug-in after consecutive faults and lets it try again later."""

from __future__ import annotations

from sightd.daemon.pipeline.breaker import Breaker, BreakerState


def opened(at: float = 0.0) -> Breaker:
    breaker = Breaker(threshold=3, cooldown=5.0, longest=12.0)
    for _ in range(3):
        breaker.failed(at)
    return breaker


def test_stays_closed_while_faults_are_not_in_a_row() -> None:
    breaker = Breaker(threshold=3)
    for _ in range(10):
        breaker.failed(0.0)
        breaker.failed(0.0)
        breaker.succeeded()
    assert breaker.allows(0.0)


def test_opens_after_the_threshold_and_refuses_until_the_cooldown_is_over() -> None:
    breaker = opened(at=100.0)
    assert breaker.state is BreakerState.OPEN
    assert not breaker.allows(104.9)
    assert breaker.allows(105.0)


def test_lets_one_trial_through_and_no_second_one_beside_it() -> None:
    breaker = opened()
    assert breaker.allows(5.0)
    assert breaker.state is BreakerState.HALF_OPEN
    assert not breaker.allows(5.0)


def test_a_good_trial_closes_it_and_forgets_the_past() -> None:
    breaker = opened()
    breaker.allows(5.0)
    breaker.succeeded()
    breaker.failed(6.0)
    assert breaker.state is BreakerState.CLOSED


def test_a_failed_trial_doubles_the_wait_up_to_the_longest() -> None:
    breaker = opened()
    now, waits = 0.0, []
    for _ in range(4):
        waits.append(breaker.retry_at - now)
        now = breaker.retry_at
        assert breaker.allows(now)
        breaker.failed(now)
    assert waits == [5.0, 10.0, 12.0, 12.0]


def test_calls_that_fail_after_it_opened_do_not_lengthen_the_wait() -> None:
    breaker = opened()
    breaker.failed(1.0)
    assert breaker.retry_at == 5.0
