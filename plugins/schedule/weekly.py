"""Weekly schedules in local time, such as "mon-fri 18:00-07:00; sat-sun", and the options that hold them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY, _WEEK = 24 * 60, 7 * 24 * 60
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00")
_EXAMPLE = 'write it like "mon-fri 18:00-07:00; sat,sun"'
_MOST_PARTS = 32


@dataclass(frozen=True, slots=True)
class Schedule:
    """When something is active: spans (begin, end) in minutes since Monday 00:00, by the clock on the wall. A span that
    goes over midnight, or over the end of the week, belongs to the day on which it begins; its end is exclusive.

    So a change to or from daylight saving time needs no care: an hour that is skipped is not active, one that comes
    twice is active twice."""

    spans: tuple[tuple[int, int], ...]

    def is_active(self, local: datetime) -> bool:
        """Returns whether a local time is within a span."""
        minute = local.weekday() * _DAY + local.hour * 60 + local.minute
        return any(begin <= at < end for begin, end in self.spans for at in (minute, minute + _WEEK))


def parse_schedule(text: str) -> Schedule:
    """Parses parts separated by ";", each with days ("mon-fri", "sat,sun"; every day by default) and times
    ("18:00-07:00", several separated by ","; the whole day by default). Raises ValueError, which says what is wrong."""
    parts = [part.strip().lower() for part in text.split(";")]
    if not all(parts):
        raise ValueError(f'"{text}" has an empty part; {_EXAMPLE}')
    if len(parts) > _MOST_PARTS:
        raise ValueError(f"has {len(parts)} parts; at most {_MOST_PARTS}")
    return Schedule(tuple(span for part in parts for span in _spans(part)))


def _spans(part: str) -> Iterator[tuple[int, int]]:
    words = re.sub(r"\s*([,-])\s*", r"\1", part).split()
    if len(words) > 2:
        raise ValueError(f'"{part}" has more than days and times; {_EXAMPLE}, with ";" between parts')
    days = range(7) if words[0][0].isdigit() else _days(words.pop(0))
    times = [_times(word) for word in words[0].split(",")] if words else [(0, _DAY)]
    for day in days:
        for begin, end in times:
            yield day * _DAY + begin, day * _DAY + (end if end > begin else end + _DAY)


def _days(text: str) -> list[int]:
    found: list[int] = []
    for word in text.split(","):
        ends = [_day(name) for name in word.split("-")]
        if len(ends) > 2:
            raise ValueError(f'"{word}" is no range of days; write "mon-fri"')
        first, last = ends[0], ends[-1]
        found += [day % 7 for day in range(first, last + 1 if last >= first else last + 8)]
    return sorted(set(found))


def _day(name: str) -> int:
    if name not in _DAYS:
        raise ValueError(f'"{name}" is no day; write one of {", ".join(_DAYS)}')
    return _DAYS.index(name)


def _times(text: str) -> tuple[int, int]:
    ends = text.split("-")
    if len(ends) != 2:
        raise ValueError(f'"{text}" is no range of times; write "18:00-07:00"')
    begin, end = map(_minute, ends)
    if begin == _DAY:
        raise ValueError(f'"{text}" begins at 24:00; write 00:00')
    if begin == end:
        raise ValueError(f'"{text}" begins when it ends; write "00:00-24:00" for the whole day')
    return begin, end


def _minute(text: str) -> int:
    if not _TIME.fullmatch(text):
        raise ValueError(f'"{text}" is no time; write HH:MM, from 00:00 to 24:00')
    return int(text[:2]) * 60 + int(text[3:])


def _schedule_text(text: str) -> str:
    parse_schedule(text)
    return text


def _zone_name(name: str) -> str:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # KeyError: ZoneInfoNotFoundError
        raise ValueError(f'"{name}" is no time zone; write it like "Europe/Berlin"') from None
    return name


ScheduleText = Annotated[str, Field(max_length=500), AfterValidator(_schedule_text)]
"""A schedule as it is written in the configuration, for `parse_schedule`."""
TimeZoneName = Annotated[str, AfterValidator(_zone_name)]
"""A time zone of the IANA database, for `ZoneInfo`."""
