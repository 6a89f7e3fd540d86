"""Which RTSP connections are closed, and when."""

from __future__ import annotations

from sightd.daemon.serve.rtsp_conduct import SESSIONS, TO_PLAY, Conduct

START = 1000.0
LATE = START + TO_PLAY + 1


def test_who_does_not_come_to_play_in_time_is_cut_off() -> None:
    conduct = Conduct(START)
    assert conduct.fault(START + TO_PLAY - 1, 300) is None
    assert conduct.fault(LATE, 300) == "slow"


def test_who_plays_or_pauses_may_stay() -> None:
    conduct = Conduct(START)
    conduct.plays()
    assert conduct.fault(LATE, 300) is None


def test_after_the_end_of_a_session_the_time_begins_anew() -> None:
    conduct = Conduct(START)
    conduct.plays()
    conduct.stops(START + 100)
    assert conduct.fault(START + 100 + TO_PLAY - 1, 300) is None
    assert conduct.fault(START + 100 + TO_PLAY + 1, 300) == "slow"


def test_a_month_of_reports_is_no_flood_and_a_megabyte_at_once_is() -> None:
    month = 30 * 24 * 3600
    conduct = Conduct(START)
    conduct.plays()
    assert conduct.fault(START + month, 100 * month) is None
    assert Conduct(START).fault(START + 1, 1_000_000) == "flood"


def test_one_session_is_enough_and_many_are_a_flood() -> None:
    conduct = Conduct(START)
    for _ in range(SESSIONS):
        conduct.opens_session()
    assert conduct.fault(START, 0) is None
    conduct.opens_session()
    assert conduct.fault(START, 0) == "flood"
