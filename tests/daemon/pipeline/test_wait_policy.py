"""The output waits for a frame's own analysis only if that keeps the camera's rate."""

from __future__ import annotations

from sightd.daemon.pipeline.wait_policy import WaitPolicy


def at_25_fps(output: float = 0.006, **options: bool) -> WaitPolicy:
    policy = WaitPolicy(**options)
    policy.saw_frame(0.040)
    policy.saw_output(output)
    return policy


def test_waits_for_a_fast_network() -> None:
    assert at_25_fps().decide(analysis=0.010) > 0.010


def test_shows_at_once_what_a_slow_network_would_delay() -> None:
    assert at_25_fps().decide(analysis=0.045) == 0.0


def test_does_not_wait_before_anything_was_measured() -> None:
    assert at_25_fps().decide(analysis=0.0) == 0.0


def test_never_waits_longer_than_the_frame_interval_allows() -> None:
    assert at_25_fps(output=0.010).decide(analysis=0.008) <= 0.030


def test_expensive_encoding_takes_the_time_that_waiting_would_need() -> None:
    assert at_25_fps(output=0.030).decide(analysis=0.012) == 0.0


def test_does_not_flap_around_the_limit() -> None:
    policy = at_25_fps()
    assert policy.decide(0.010) > 0
    changes = [policy.decide(0.024 + 0.003 * (n % 2)) > 0 for n in range(20)]
    assert len(set(changes)) == 1


def test_a_chain_that_replaces_the_picture_is_always_waited_for() -> None:
    assert at_25_fps(always=True).decide(analysis=0.5) > 0.5
