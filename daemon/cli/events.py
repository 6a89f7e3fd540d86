"""`sightd events`: shows events, from the running daemon or from the journal file."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

from sightd.daemon.cli.arguments import SubParsers
from sightd.daemon.cli.event_queries import LocalJournal, RemoteJournal, add_options, filter_of, source_of
from sightd.daemon.cli.event_reports import add_actions
from sightd.daemon.cli.output import exit_code_of
from sightd.daemon.config.problems import ConfigError
from sightd.daemon.control.client import ControlError, LateError, NoDaemonError
from sightd.daemon.events.event import Event, describe
from sightd.daemon.events.export import ExportError
from sightd.daemon.events.journal_reader import JournalError
from sightd.daemon.events.query import Filter
from sightd.engines.text import json_text, local_time, printable
from sightd.plugins.api import WHICH_DAEMON, ApiError, UsageError

_EPILOG = f"""\
examples:
  sightd events                             the newest 50
  sightd events --follow --camera door      and new ones, until Ctrl-C
  sightd events --since 2h --kind camera.down
  sightd events --since 1d --json | jq .    one JSON object per line
  sightd events --kind 'zone.*' --zone drive --person Ann --since 2026-03-01
  sightd events statistics --per hour --by zone
  sightd events export --format csv --since 7d -o week.csv

If no daemon is running, the command reads the journal file that the service, or the configuration given by -c, would
use, and prints its path. The file is never changed.

{WHICH_DAEMON}
The exit code is 0 on success, 1 if there is no journal or it cannot be read, 2 for wrong usage or an invalid
configuration, 3 if the daemon given by --url or --socket does not answer.
"""
_LOOK_EVERY = 0.5
"""Seconds between two polls for new events."""
_COME_BACK = 1.0
"""Seconds between two attempts to reconnect to a daemon."""
_NEWEST, _AT_ONCE = 50, 500


def add(commands: SubParsers) -> None:
    """Declares the command's arguments."""
    parser = commands.add_parser(
        "events",
        help="show the event journal",
        description="Shows the event journal: failures and recoveries, reloads, starts and stops.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="keep printing new events until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="print JSON, one object per line")
    parser.set_defaults(run=run, do=_show)
    add_actions(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the action, or shows events."""
    codes = {
        ConfigError: 2, UsageError: 2, NoDaemonError: 3, JournalError: 1, ControlError: 1, ApiError: 1, ExportError: 1,
        OSError: 1,
    }  # fmt: skip
    return exit_code_of(lambda: args.do(args), codes)


def _show(args: argparse.Namespace) -> None:
    wanted = filter_of(args)
    if args.follow and (wanted.until is not None or wanted.text is not None):
        raise UsageError("--follow cannot be combined with --until or --text")
    source = source_of(args)
    if isinstance(source, RemoteJournal):
        _print_remote(source, wanted, follow=args.follow, as_json=args.json)
    else:
        _print_local(source, wanted, follow=args.follow, as_json=args.json)


def _print_remote(journal: RemoteJournal, wanted: Filter, *, follow: bool, as_json: bool) -> None:
    last = journal.newest() if wanted.since is None else 0
    if wanted.since is None:
        last = max(last, _print(journal.latest(_NEWEST, wanted), as_json))
    while wanted.since is not None and (events := journal.after(last, _AT_ONCE, wanted)):
        last = max(last, _print(events, as_json))
    away, new = False, replace(wanted, since=None)
    while follow:
        try:
            for event in journal.following(last, new):
                last = _print([event], as_json)
                away = False
        except (NoDaemonError, LateError) as error:
            if not away:
                print(f"sightd: {error}; waiting for it", file=sys.stderr)
            away = True
        time.sleep(_COME_BACK)


def _print_local(reader: LocalJournal, wanted: Filter, *, follow: bool, as_json: bool) -> None:
    last = 0
    if wanted.since is None:
        last = reader.newest()
        last = max(last, _print(reader.latest(_NEWEST, wanted), as_json))
    while follow or wanted.since is not None:
        events, last = reader.follow(last, _AT_ONCE, wanted)
        _print(events, as_json)
        if not events and not follow:
            return
        if not events:
            time.sleep(_LOOK_EVERY)


def _print(events: Sequence[Event], as_json: bool) -> int:
    """Prints the events and returns the last one's id, or 0."""
    for event in events:
        print(json_text(event.for_json()) if as_json else _line(event))
    sys.stdout.flush()
    return events[-1].id if events else 0


def _line(event: Event) -> str:
    return f"{local_time(event.at)}  {event.id:>6}  {printable(describe(event))}"
