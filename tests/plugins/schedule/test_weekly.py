"""Schedules: days and times, over midnight and over the end of the week, by the clock on the wall."""

from __future__ import annotations

import re
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from sightd.plugins.schedule.weekly import parse_schedule

MONDAY = 2
"""Of March 2026."""


def active(text: str, day: int, clock: str) -> bool:
    hour, minute = map(int, clock.split(":"))
    return parse_schedule(text).is_active(datetime(2026, 3, MONDAY + day, hour, minute))


@pytest.mark.parametrize(
    ("text", "day", "clock", "expected"),
    [
        ("mon-fri 18:00-07:00", 0, "17:59", False),
        ("mon-fri 18:00-07:00", 0, "18:00", True),
        ("mon-fri 18:00-07:00", 1, "06:59", True),
        ("mon-fri 18:00-07:00", 1, "07:00", False),
        ("mon-fri 18:00-07:00", 5, "06:59", True),  # Saturday: the night that began on Friday
        ("mon-fri 18:00-07:00", 5, "18:00", False),
        ("mon-fri 18:00-07:00", 0, "03:00", False),  # the night that began on Sunday
        ("sun 22:00-04:00", 0, "03:59", True),  # over the end of the week
        ("sat,sun", 6, "23:59", True),
        ("sat,sun", 0, "00:00", False),
        ("fri-mon", 0, "12:00", True),
        ("fri-mon", 1, "12:00", False),
        ("08:00-12:00,13:00-24:00", 3, "12:30", False),
        ("08:00-12:00, 13:00-24:00", 3, "23:59", True),
        ("Mon 08:00-09:00; tue 10:00-11:00", 1, "10:30", True),
        ("Mon 08:00-09:00; tue 10:00-11:00", 1, "08:30", False),
        ("mon 00:00-24:00", 0, "00:00", True),
    ],
)
def test_when_a_schedule_is_active(text: str, day: int, clock: str, expected: bool) -> None:
    assert active(text, day, clock) is expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mon-fri 18:00-7pm", '"7pm" is no time; write HH:MM, from 00:00 to 24:00'),
        ("mo 18:00-19:00", '"mo" is no day; write one of mon, tue'),
        ("mon 18:00", '"18:00" is no range of times'),
        ("mon 25:00-26:00", '"25:00" is no time'),
        ("mon 08:00-08:00", "begins when it ends"),
        ("mon 24:00-08:00", "begins at 24:00"),
        ("mon-wed-fri", "is no range of days"),
        ("mon 08:00-09:00 tue 10:00-11:00", "has more than days and times; write it like"),
        ("", "has an empty part"),
        ("mon;;tue", "has an empty part"),
        (";".join(["mon"] * 33), "has 33 parts; at most 32"),
    ],
)
def test_what_is_wrong_with_a_schedule_is_said(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_schedule(text)


def test_a_change_of_the_clock_moves_no_schedule() -> None:
    """On 29 March 2026 the clock in Berlin goes from 02:00 to 03:00, on 25 October from 03:00 to 02:00."""
    berlin, schedule = ZoneInfo("Europe/Berlin"), parse_schedule("sun 02:30-06:00")
    spring, autumn = datetime(2026, 3, 29, tzinfo=berlin).timestamp(), datetime(2026, 10, 25, tzinfo=berlin).timestamp()
    for midnight, hours in ((spring, 3.0), (autumn, 4.0)):
        minutes = [midnight + 60 * minute for minute in range(25 * 60)]
        on = [schedule.is_active(datetime.fromtimestamp(at, berlin)) for at in minutes]
        assert sum(on) == hours * 60
    assert schedule.is_active(datetime.fromtimestamp(spring + 2 * 3600, berlin)), "03:00, an hour that exists"
