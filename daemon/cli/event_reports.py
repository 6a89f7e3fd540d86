"""`sightd events statistics` and `sightd events export`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from io import BufferedWriter
from pathlib import Path
from typing import Any

from sightd.daemon.cli.event_queries import add_options, filter_of, source_of
from sightd.daemon.cli.output import output, print_table
from sightd.daemon.events.event import Event
from sightd.daemon.events.export import ParquetWriter, TextFormat, pages, text_of
from sightd.daemon.events.query import InvalidQueryError
from sightd.daemon.events.statistics import By, Grouping, Period, timezone_named
from sightd.engines.files import Replacement
from sightd.engines.text import json_text
from sightd.plugins.api import UsageError

_PARQUET = "parquet"
_STATISTICS = """\
examples:
  sightd events statistics --per hour --by zone --kind zone.entered
  sightd events statistics --per day --since 30d --by line --timezone Europe/Berlin

Counts are of the last 24 hours unless --since says otherwise; the first period is counted from its beginning, the last
to its end. Periods without events are left out.
"""
_EXPORT = """\
examples:
  sightd events export --format csv --since 7d -o week.csv
  sightd events export --format parquet --output events.parquet --kind 'zone.*'
"""


def add_actions(parser: argparse.ArgumentParser) -> None:
    """Declares the actions of the command `events`; without one it shows events."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    shared: dict[str, Any] = {
        "argument_default": argparse.SUPPRESS,  # options before the action remain
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }
    counts = actions.add_parser(
        "statistics", help="count events per hour or day", description="Counts events.", epilog=_STATISTICS, **shared
    )
    add_options(counts)
    counts.add_argument("--per", choices=list(map(str, Period)), default=None, help="count each of these by itself")
    counts.add_argument(
        "--by", choices=list(map(str, By)), action="append", default=None, help="count by this field; repeatable"
    )
    counts.add_argument(
        "--timezone", metavar="ZONE", default=None,
        help="time zone of the periods, such as Europe/Berlin (default: that of the daemon, or of this computer)",
    )  # fmt: skip
    counts.add_argument("--json", action="store_true", help="print JSON")
    counts.set_defaults(do=_count)
    export = actions.add_parser(
        "export", help="write events to a file", description="Writes events, oldest first.", epilog=_EXPORT, **shared
    )
    add_options(export)
    export.add_argument("--format", choices=[*TextFormat, _PARQUET], required=True)
    export.add_argument(
        "-o", "--output", type=Path, metavar="FILE", default=None, help="default: standard output, unless it is Parquet"
    )
    export.set_defaults(do=_export)


def _count(args: argparse.Namespace) -> None:
    per = None if args.per is None else Period(args.per)
    by = tuple(map(By, dict.fromkeys(args.by or ())))
    try:
        grouping = Grouping(per, by, None if args.timezone is None else timezone_named(args.timezone))
        found = source_of(args).statistics(filter_of(args), grouping, args.timezone)
    except InvalidQueryError as error:
        raise UsageError(str(error)) from error
    if args.json:
        print(json_text(found))
        return
    print(f"{_when(found['since'])} to {_when(found['until'])}")
    titles = [*(["TIME"] if args.per else []), *(name.upper() for name in by), "COUNT"]
    print_table(titles, [_row(one) for one in found["counts"]], output())


def _row(count: dict[str, Any]) -> list[str]:
    return ["-" if value is None else _when(value) if name == "time" else str(value) for name, value in count.items()]


def _when(time: str) -> str:
    return datetime.fromisoformat(time).isoformat(" ", "minutes")


def _export(args: argparse.Namespace) -> None:
    source, wanted = source_of(args), filter_of(args)
    if args.format == _PARQUET and args.output is None:
        raise UsageError("Parquet is written to a file: add --output FILE")
    before = source.newest() + 1

    def found() -> Iterator[Sequence[Event]]:
        return pages(lambda last, limit: source.after(last, limit, wanted, before))

    if args.output is None:
        for text in text_of(found(), TextFormat(args.format)):
            sys.stdout.write(text)
        return
    new = Replacement(args.output)
    try:
        if args.format == _PARQUET:
            _write_parquet(found(), new)
        else:
            for text in text_of(found(), TextFormat(args.format)):
                new.write_all(text.encode())
    except BaseException:
        new.discard()
        raise
    new.commit()


def _write_parquet(found: Iterator[Sequence[Event]], new: Replacement) -> None:
    buffered = BufferedWriter(new.file)
    with ParquetWriter(buffered) as writer:
        for events in found:
            writer.add(events)
    buffered.flush()
    buffered.detach()
