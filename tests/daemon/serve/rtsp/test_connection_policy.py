"""Which RTSP connections are closed, and when."""

from __future__ import annotations

from sightd.daemon.serve.rtsp.viewers import SESSIONS, TO_PLAY, ConnectionPolicy

START = 1000.0
LATE = START + TO_PLAY + 1


def test_who_does_not_come_to_play_in_time_is_cut_off() -> None:
    policy = ConnectionPolicy(START)
    assert policy.fault(START + TO_PLAY - 1, 300) is None
    assert policy.fault(LATE, 300) == "slow"


def test_who_plays_or_pauses_may_stay() -> None:
    policy = ConnectionPolicy(START)
    policy.plays()
    assert policy.fault(LATE, 300) is None


def test_after_the_end_of_a_session_the_time_starts_over() -> None:
    policy = ConnectionPolicy(START)
    policy.plays()
    policy.stops(START + 100)
    assert policy.fault(START + 100 + TO_PLAY - 1, 300) is None
    assert policy.fault(START + 100 + TO_PLAY + 1, 300) == "slow"


def test_a_month_of_reports_is_no_flood_and_a_megabyte_at_once_is() -> None:
    month = 30 * 24 * 3600
    policy = ConnectionPolicy(START)
    policy.plays()
    assert policy.fault(START + month, 100 * month) is None
    assert ConnectionPolicy(START).fault(START + 1, 1_000_000) == "flood"


def test_one_session_is_enough_and_many_are_a_flood() -> None:
    policy = ConnectionPolicy(START)
    for _ in range(SESSIONS):
        policy.opens_session()
    assert policy.fault(START, 0) is None
    policy.opens_session()
    assert policy.fault(START, 0) == "flood"
