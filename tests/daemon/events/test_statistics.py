"""Events are counted per hour or day of a time zone, and by the values of fields."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from sightd.daemon.events.event import PendingEvent
from sightd.daemon.events.journal_reader import JournalReader
from sightd.daemon.events.query import Filter, InvalidQueryError
from sightd.daemon.events.statistics import By, Grouping, Period, Statistics, statistics, timezone_named
from sightd.daemon.events.store import EventStore
from tests.daemon.events.test_query import to_format_1

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str, zone: ZoneInfo = BERLIN) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


@pytest.fixture(scope="module", params=[2, 1], ids=["format 2", "format 1"])
def reader(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> JournalReader:
    """Persons and dogs who enter two zones every ten minutes around the end of summer time in 2026, and one failure."""
    path = tmp_path_factory.mktemp("journal") / "events.db"
    begin = at("2026-10-24T00:00")
    events = [PendingEvent("camera.down", begin + 5, "gate", None, {"reason": "timeout"})]
    events += [
        PendingEvent(
            "zone.entered", begin + 600 * number, "gate" if number % 3 else "yard", "zones",
            {"zone": "drive" if number % 2 else "lawn", "class": "dog" if number % 5 else "person"},
        )
        for number in range(3 * 144)
    ]  # fmt: skip
    with closing(EventStore(path)) as store:
        store.append(events, 1000)
    if request.param == 1:
        to_format_1(path)
    return JournalReader(path)


def counted(reader: JournalReader, since: str, until: str, grouping: Grouping, **wanted: object) -> Statistics:
    return statistics(reader, Filter(since=at(since), until=at(until), **wanted), grouping, 0.0)  # type: ignore[arg-type]


def test_a_day_is_from_midnight_to_midnight_even_if_it_has_25_hours(reader: JournalReader) -> None:
    found = counted(reader, "2026-10-24T13:00", "2026-10-26T01:00", Grouping(Period.DAY, (), BERLIN))
    assert [count for _, _, count in found.counts] == [145, 150, 138]
    assert [one["time"] for one in found.for_json()["counts"]] == [
        "2026-10-24T00:00:00+02:00", "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00",
    ]  # fmt: skip
    assert found.for_json()["until"] == "2026-10-27T00:00:00+01:00"


def test_the_hour_that_comes_twice_is_counted_twice(reader: JournalReader) -> None:
    found = counted(reader, "2026-10-25T01:30", "2026-10-25T04:00", Grouping(Period.HOUR, (), BERLIN)).for_json()
    assert [(one["time"][11:13], one["time"][-6:], one["count"]) for one in found["counts"]] == [
        ("01", "+02:00", 6), ("02", "+02:00", 6), ("02", "+01:00", 6), ("03", "+01:00", 6),
    ]  # fmt: skip


def test_an_hour_begins_where_it_does_in_the_time_zone(reader: JournalReader) -> None:
    zone = ZoneInfo("Asia/Kathmandu")
    found = counted(reader, "2026-10-24T12:00", "2026-10-24T12:01", Grouping(Period.HOUR, (), zone)).for_json()
    assert found["since"] == "2026-10-24T15:00:00+05:45"


def test_fields_are_counted_by_their_values(reader: JournalReader) -> None:
    grouping = Grouping(Period.DAY, (By.ZONE, By.CLASS), BERLIN)
    found = counted(reader, "2026-10-24T00:00", "2026-10-25T00:00", grouping)
    events = reader.after(0, 1000, Filter(until=at("2026-10-25T00:00")))
    expected = Counter((event.facts.get("zone"), event.facts.get("class")) for event in events)
    assert {values: count for _, values, count in found.counts} == expected
    assert found.for_json()["counts"][0] == {
        "time": "2026-10-24T00:00:00+02:00", "zone": None, "class": None, "count": 1,
    }  # fmt: skip


def test_a_filter_applies_and_without_a_period_all_is_counted_together(reader: JournalReader) -> None:
    found = counted(reader, "2026-10-24T00:05", "2026-10-24T01:00", Grouping(None, (By.CAMERA,)), kinds=("zone.*",))
    assert [one[1:] for one in found.counts] == [(("gate",), 4), (("yard",), 1)]
    assert "time" not in found.for_json()["counts"][0]
    none = counted(reader, "2026-10-24T00:05", "2026-10-24T01:00", Grouping(Period.HOUR), kinds=("no.*",))
    assert none.counts == ()


def test_without_times_it_counts_the_last_day(reader: JournalReader) -> None:
    found = statistics(reader, Filter(), Grouping(), at("2026-10-26T00:00"))
    assert (found.until - found.since, [count for _, _, count in found.counts]) == (86400, [144])


@pytest.mark.parametrize(
    ("since", "until", "per", "message"),
    [
        ("2026-10-25", "2026-10-25", None, "since is not before until"),
        ("2026-01-01", "2026-10-25", Period.HOUR, "more than 2000 periods: choose a shorter time range, or days"),
    ],
)
def test_what_cannot_be_counted_is_refused(
    since: str, until: str, per: Period | None, message: str, reader: JournalReader
) -> None:
    with pytest.raises(InvalidQueryError, match=message):
        counted(reader, since, until, Grouping(per))


def test_a_time_outside_the_calendar_is_refused(reader: JournalReader) -> None:
    with pytest.raises(InvalidQueryError, match="not a time of the calendar"):
        statistics(reader, Filter(since=1e12, until=1e12 + 1), Grouping(Period.DAY), 0.0)


@pytest.mark.parametrize("name", ["Europe/Nowhere", "../../etc/passwd", "", "Europe"])
def test_an_unknown_time_zone_is_named(name: str) -> None:
    with pytest.raises(InvalidQueryError, match="is unknown: write one such as UTC or Europe/Berlin"):
        timezone_named(name)


def test_known_time_zones_are_found() -> None:
    assert timezone_named("UTC") == ZoneInfo("UTC")
