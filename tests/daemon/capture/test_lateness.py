"""How late frames arrive, by the stream's own clock: their age, which are skipped, and when a stream is reopened."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator

import pytest

from sightd.daemon.capture.lateness import Lateness, StreamAge

INTERVAL = 0.04


def stream(
    seconds: float,
    *,
    delay: Callable[[float], float] = lambda made: 0.03,
    clock: Callable[[float], float] = lambda made: made,
) -> Iterator[tuple[float, float]]:
    """Yields (pts, arrival) of frames made at 25 a second, in s. `delay` is the transit time of a frame and `clock` the
    camera's time, both by the s since the start. Frames of one connection arrive in order."""
    arrival = 0.0
    for number in range(round(seconds / INTERVAL)):
        made = number * INTERVAL
        arrival = max(arrival, 1000 + made + delay(made))
        yield clock(made), arrival


def jittery(most: float) -> Callable[[float], float]:
    chance = random.Random(1)
    return lambda made: chance.random() * most


def backlog(growth: float, most: float) -> Callable[[float], float]:
    """Simulates a network that delays frames more and more, up to what its queues hold."""
    return lambda made: min(most, growth * made)


def ages(frames: Iterator[tuple[float, float]]) -> list[float]:
    meter = StreamAge()
    return [meter.measure(pts, arrival) for pts, arrival in frames]


WELL = {
    "an even stream": stream(60),
    "jitter of a wireless network": stream(600, delay=jittery(0.3)),
    "a clock that runs 1 % slow": stream(3600, clock=lambda made: 0.99 * made),
    "a clock that runs 1 % fast": stream(3600, clock=lambda made: 1.01 * made),
    "a slow clock and jitter": stream(1200, delay=jittery(0.2), clock=lambda made: 0.99 * made),
    "timestamps that jump ahead": stream(60, clock=lambda made: made + (1000 if made > 30 else 0)),
    "timestamps that jump back": stream(60, clock=lambda made: made - (1000 if made > 30 else 0)),
    "timestamps that begin again every 4 s": stream(60, clock=lambda made: made % 4),
    "timestamps that wrap around": stream(60, clock=lambda made: (90000 * (47700 + made)) % 2**32 / 90000),
    "a single wrong timestamp": stream(60, clock=lambda made: made + (3 if 29.99 < made < 30.03 else 0)),
    "pictures that come in no order": stream(60, clock=lambda made: made + 0.08 * (round(made / INTERVAL) % 3 - 1)),
    "a cached group of pictures at once": stream(60, delay=lambda made: max(0.03, 2 - made)),
    "a picture a minute": ((minute * 60.0, 50 + minute * 60.01) for minute in range(100)),
}


@pytest.mark.parametrize("frames", WELL.values(), ids=WELL)
def test_a_stream_that_is_on_time_is_never_late(frames: Iterator[tuple[float, float]]) -> None:
    lateness = Lateness(2.0)
    for pts, arrival in frames:
        assert lateness.frame(pts, arrival)
        assert not lateness.late
        assert lateness.age is not None
        assert lateness.age < 1.0


def test_the_age_is_that_of_the_delay() -> None:
    for (_, arrival), age in zip(
        stream(60, delay=backlog(0.5, 6.7)), ages(stream(60, delay=backlog(0.5, 6.7))), strict=True
    ):
        made = (arrival - 1000) / 1.5 if arrival - 1000 < 1.5 * 13.4 else arrival - 1000 - 6.7
        assert age == pytest.approx(backlog(0.5, 6.7)(made), abs=0.1)


@pytest.mark.parametrize("growth", [0.03, 0.1, 0.6, 5.0])
def test_a_slow_network_does_not_teach_what_on_time_is(growth: float) -> None:
    measured = ages(stream(1800, delay=backlog(growth, 6.7)))
    assert measured[-1] == pytest.approx(6.7, abs=0.3)


def test_the_first_frame_is_as_old_as_it_took_to_arrive() -> None:
    meter = StreamAge()
    assert meter.measure(0.0, 103.0, began=100.0) == pytest.approx(3.0)
    assert meter.measure(0.04, 103.01) == pytest.approx(2.97)
    assert meter.measure(3.0, 103.05) == pytest.approx(0.05)


def test_a_slow_network_is_noticed_behind_a_clock_that_runs_slow() -> None:
    measured = ages(
        stream(1200, delay=lambda made: max(0.0, min(5.0, made - 600)), clock=lambda made: 0.99 * made),
    )
    assert max(measured[: round(600 / INTERVAL)]) < 1.0
    assert measured[-1] == pytest.approx(5.0, abs=0.5)


def test_a_stream_that_grew_late_is_late_until_it_is_on_time_again() -> None:
    lateness = Lateness(2.0)
    states = []
    for pts, arrival in stream(40, delay=lambda made: backlog(0.5, 5)(made) if made < 20 else 0.0):
        lateness.frame(pts, arrival)
        states.append((pts, lateness.late))
    became_late = next(pts for pts, late in states if late)
    well_again = next(pts for pts, late in reversed(states) if late)
    assert became_late == pytest.approx(2.0 / 0.5 + 0.3, abs=0.3)
    assert 20 < well_again < 27
    assert not lateness.late


def test_a_hiccup_that_is_over_at_once_is_not_reported() -> None:
    lateness = Lateness(2.0)
    for pts, arrival in stream(60, delay=lambda made: max(0.03, 33 - made) if 30 < made < 33 else 0.03):
        lateness.frame(pts, arrival)
        assert not lateness.late


def test_a_backlog_that_drains_is_skipped_but_for_a_frame_now_and_then() -> None:
    lateness = Lateness(2.0)
    shown: list[tuple[float, float]] = []
    for number in range(25 * 20):  # 20 s; frames made from second 5 to 15 arrive at eight times the speed
        made = number * INTERVAL
        arrival = made if not 5 <= made < 15 else 15 + (made - 5) / 8
        if lateness.frame(made, arrival if made < 15 else max(arrival, 16.25)):
            shown.append((made, arrival))
    drained = [made for made, _ in shown if 5 <= made < 14]
    assert 1 <= len(drained) <= 4
    assert len([made for made, _ in shown if made < 5]) == 125
    assert shown[-1][0] == pytest.approx(20 - INTERVAL)


def test_a_stream_that_stays_late_is_opened_again_ever_more_rarely() -> None:
    lateness, opened, began, pts = Lateness(2.0), list[int](), 0.0, 0.0
    for number in range(25 * 3600):
        arrival = number * INTERVAL
        pts += INTERVAL / 2  # half the true speed
        lateness.frame(pts, arrival)
        if lateness.hopeless(arrival):
            opened.append(round(arrival - began))
            began, pts = arrival, 0.0
            lateness.restart()
    assert opened[0] == pytest.approx(14, abs=1)
    assert sorted(opened) == opened
    assert opened[-1] < 310
    assert math.isclose(opened[-1], opened[-2], rel_tol=0.1)


def test_after_it_was_opened_again_it_counts_as_late_until_it_proves_otherwise() -> None:
    lateness = Lateness(2.0)
    for pts, arrival in stream(20, delay=backlog(0.5, 5)):
        lateness.frame(pts, arrival)
    assert lateness.late
    lateness.restart()
    assert lateness.late
    for pts, arrival in stream(3):
        lateness.frame(pts, arrival + 100)
    assert not lateness.late


def test_frames_without_a_timestamp_are_shown_and_not_judged() -> None:
    lateness = Lateness(2.0)
    assert all(lateness.frame(None, 10.0 * number) for number in range(10))
    assert (lateness.age, lateness.late) == (None, False)


def test_zero_switches_the_judgement_off_and_the_age_is_measured_all_the_same() -> None:
    lateness = Lateness(0.0)
    for pts, arrival in stream(60, delay=backlog(0.5, 5)):
        assert lateness.frame(pts, arrival)
        assert not lateness.late
        assert not lateness.hopeless(arrival)
    assert lateness.age == pytest.approx(5.0, abs=0.2)
