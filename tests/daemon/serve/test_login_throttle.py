from __future__ import annotations

import pytest

from sightd.daemon.serve import auth
from sightd.daemon.serve.auth import AT_ONCE, ONE_MORE_AFTER, LoginThrottle


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def fail(tried: LoginThrottle, address: str, times: int) -> None:
    for _ in range(times):
        tried.failed(address)


def test_a_few_wrong_ones_hold_nobody_up(clock: Clock) -> None:
    tried = LoginThrottle(clock)
    fail(tried, "192.0.2.1", AT_ONCE - 1)
    assert tried.wait("192.0.2.1") == 0


def test_then_the_address_waits_and_may_try_once_more(clock: Clock) -> None:
    tried = LoginThrottle(clock)
    fail(tried, "192.0.2.1", AT_ONCE)
    assert tried.wait("192.0.2.1") == pytest.approx(ONE_MORE_AFTER)
    assert tried.wait("192.0.2.2") == 0
    clock.now += ONE_MORE_AFTER
    assert tried.wait("192.0.2.1") == 0
    tried.failed("192.0.2.1")
    assert tried.wait("192.0.2.1") == pytest.approx(ONE_MORE_AFTER)


def test_the_same_wrong_one_again_is_no_guess(clock: Clock) -> None:
    """A scraper with two old tokens keeps trying; another program at its address is let in."""
    tried = LoginThrottle(clock)
    for _ in range(100):
        tried.failed("192.0.2.1", "old")
        tried.failed("192.0.2.1", "older")
    assert tried.wait("192.0.2.1") == 0
    for number in range(AT_ONCE):
        tried.failed("192.0.2.1", f"guess {number}")
    assert tried.wait("192.0.2.1") > 0


def test_guessing_all_the_same_makes_nobody_wait_forever(clock: Clock) -> None:
    tried = LoginThrottle(clock)
    fail(tried, "192.0.2.1", 1000)
    clock.now += AT_ONCE * ONE_MORE_AFTER
    fail(tried, "192.0.2.1", AT_ONCE - 1)
    assert tried.wait("192.0.2.1") == 0


@pytest.mark.parametrize(
    ("one", "other"),
    [("2001:db8::1", "2001:db8::ffff"), ("::ffff:192.0.2.1", "192.0.2.1"), ("fe80::1%eth0", "fe80::2")],
)
def test_addresses_of_one_host_count_together(clock: Clock, one: str, other: str) -> None:
    tried = LoginThrottle(clock)
    fail(tried, one, AT_ONCE)
    assert tried.wait(other) > 0


def test_it_remembers_so_many_addresses_and_no_more(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "_MOST_ADDRESSES", 3)
    tried = LoginThrottle(clock)
    for number in range(100):
        fail(tried, f"192.0.2.{number}", AT_ONCE)
    assert [tried.wait(f"192.0.2.{number}") > 0 for number in (96, 97, 98, 99)] == [False, True, True, True]
