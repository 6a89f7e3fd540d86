"""Nothing is deleted because of its age by a clock that has just jumped."""

from __future__ import annotations

from dataclasses import dataclass

from sightd.plugins.storage.trusted_clock import TrustedClock

HOUR, DAY = 3600.0, 86400.0


@dataclass
class Clocks:
    wall: float = 1.8e9
    monotonic: float = 50.0

    def pass_(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds

    def steady(self, last_seen: float | None = None) -> TrustedClock:
        return TrustedClock(lambda: self.wall, lambda: self.monotonic, last_seen=last_seen)


def test_a_clock_that_runs_evenly_is_believed() -> None:
    clocks = Clocks()
    steady = clocks.steady(last_seen=clocks.wall - HOUR)
    for _ in range(100):
        clocks.pass_(600)
        clocks.wall += 1.0  # the clock is being adjusted
        assert steady.trusted() == clocks.wall


def test_one_that_jumped_ahead_is_believed_a_day_later() -> None:
    clocks = Clocks()
    steady = clocks.steady()
    clocks.wall += 365 * DAY
    assert steady.trusted() is None
    clocks.pass_(DAY - 1)
    assert steady.trusted() is None
    clocks.pass_(2)
    assert steady.trusted() == clocks.wall


def test_one_that_jumped_ahead_and_back_never_did_harm() -> None:
    clocks = Clocks()
    steady = clocks.steady()
    clocks.wall += 5 * HOUR
    assert steady.trusted() is None
    clocks.pass_(600)
    clocks.wall -= 5 * HOUR
    assert steady.trusted() is None
    clocks.pass_(DAY)
    assert steady.trusted() == clocks.wall


def test_a_step_back_makes_everything_younger_and_is_believed() -> None:
    clocks = Clocks()
    steady = clocks.steady()
    clocks.wall -= 5 * HOUR
    assert steady.trusted() == clocks.wall


def test_one_that_jumped_while_nothing_ran_is_seen_by_what_was_left_behind() -> None:
    clocks = Clocks()
    assert clocks.steady(last_seen=clocks.wall - 2 * DAY).trusted() is None
    assert clocks.steady(last_seen=clocks.wall + 2 * DAY).trusted() == clocks.wall
