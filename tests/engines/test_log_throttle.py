"""A throttled message appears once per kind and interval, with the count of what it stands for."""

from __future__ import annotations

from sightd.engines.log_throttle import INTERVAL, LogThrottle


def test_the_first_occurrence_is_reported_and_the_next_ones_are_counted() -> None:
    now = 0.0
    throttle = LogThrottle(lambda: now)
    assert [throttle.add() for _ in range(4)] == [1, 0, 0, 0]
    now = INTERVAL - 0.1
    assert throttle.add() == 0
    now = INTERVAL
    assert throttle.add() == 5
    assert throttle.add() == 0


def test_each_kind_has_its_own_interval() -> None:
    throttle = LogThrottle(lambda: 0.0)
    assert [throttle.add("one"), throttle.add("other"), throttle.add("one")] == [1, 1, 0]
