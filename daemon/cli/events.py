"""`sightd events`: shows events, from the running daemon or from the journal file."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sightd.daemon.cli.arguments import SubParsers
from sightd.daemon.cli.output import exit_code_of
from sightd.daemon.config.load import load
from sightd.daemon.config.model import Events
from sightd.daemon.config.plugin_entries import installed_plugins
from sightd.daemon.config.problems import ConfigError
from sightd.daemon.control.client import Client, ControlError, LateError, NoDaemonError
from sightd.daemon.control.discovery import DaemonSelection, find, service_of
from sightd.daemon.events.event import Event, describe, event_of
from sightd.daemon.events.journal_reader import JournalError, JournalReader, journal_of
from sightd.daemon.events.query import Filter
from sightd.engines.text import json_text, local_time, printable
from sightd.plugins.api import WHICH_DAEMON, ApiError, UsageError, add_daemon_options
from sightd.plugins.api.units import parse_duration

_SILENCE = 60.0
"""Seconds of silence after which a stream counts as broken: the daemon sends a comment every 15 s."""


class RemoteJournal:
    """The journal of a running daemon. Methods raise ControlError and ApiError."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def newest(self) -> int:
        """Returns the id of the newest event; 0 if there is none."""
        return max((event.id for event in self._events({"limit": 1})), default=0)

    def after(self, last: int, limit: int, wanted: Filter) -> list[Event]:
        """Like `JournalReader.after`."""
        return self._events({"after": last, "limit": limit, **_query(wanted)})

    def latest(self, limit: int, wanted: Filter) -> list[Event]:
        """Like `JournalReader.latest`."""
        return self._events({"limit": limit, **_query(wanted)})

    def following(self, last: int, wanted: Filter) -> Iterator[Event]:
        """Yields events with an id above `last` as they happen, until the daemon ends the stream. Ignores
        `wanted.since`."""
        query = {name: value for name, value in _query(wanted).items() if name != "since"}
        with self._client.lines("/api/events/stream", query={"after": last, **query}, silence=_SILENCE) as lines:
            is_event = True
            for line in lines:
                name, _, value = line.partition(": ")
                if not line:
                    is_event = True
                elif name == "event":  # a gap: deleted events cannot be shown
                    is_event = False
                elif name == "data" and is_event:
                    yield self._event_of(value)

    def _events(self, query: dict[str, object]) -> list[Event]:
        return [self._event(form) for form in self._client.json("GET", "/api/events", query=query)]

    def _event_of(self, line: str) -> Event:
        try:
            form = json.loads(line)
        except ValueError as error:
            raise ControlError(f"{self._client} sent an event that is not valid JSON") from error
        return self._event(form)

    def _event(self, form: Any) -> Event:
        try:
            return event_of(form)
        except (ValueError, KeyError, TypeError) as error:
            raise ControlError(f"{self._client} sent an invalid event") from error


def _query(wanted: Filter) -> dict[str, object]:
    asked = {"camera": wanted.camera, "kind": wanted.kinds[0] if wanted.kinds else None, "since": wanted.since}
    return {name: value for name, value in asked.items() if value is not None}


_EPILOG = f"""\
examples:
  sightd events                             the newest 50
  sightd events --follow --camera door      and new ones, until Ctrl-C
  sightd events --since 2h --kind camera.down
  sightd events --since 1d --json | jq .    one JSON object per line

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
    add_daemon_options(parser)
    parser.add_argument(
        "--journal", type=Path, metavar="FILE", help="read this journal file instead of asking a daemon"
    )
    parser.add_argument("-f", "--follow", action="store_true", help="keep printing new events until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="print JSON, one object per line")
    parser.add_argument("--camera", metavar="NAME", help="only events of this camera")
    parser.add_argument("--kind", metavar="KIND", help="only events of this kind, such as camera.down")
    parser.add_argument(
        "--since", type=_span, metavar="TIME", help="only events of the last 30m, 2h, 7d (default: the newest 50)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    wanted = Filter(
        args.camera, () if args.kind is None else (args.kind,), None if args.since is None else time.time() - args.since
    )
    codes = {ConfigError: 2, UsageError: 2, NoDaemonError: 3, JournalError: 1, ControlError: 1, ApiError: 1}
    return exit_code_of(lambda: _run(args, wanted), codes)


def _run(args: argparse.Namespace, wanted: Filter) -> None:
    client = find(DaemonSelection.of(args), os.environ) if args.journal is None else None
    if client is not None:
        _print_remote(RemoteJournal(client), wanted, follow=args.follow, as_json=args.json)
    else:
        _print_local(JournalReader(_journal(args)), wanted, follow=args.follow, as_json=args.json)


def _print_remote(journal: RemoteJournal, wanted: Filter, *, follow: bool, as_json: bool) -> None:
    last = journal.newest() if wanted.since is None else 0
    if wanted.since is None:
        last = max(last, _print(journal.latest(_NEWEST, wanted), as_json))
    while wanted.since is not None and (events := journal.after(last, _AT_ONCE, wanted)):
        last = max(last, _print(events, as_json))
    away = False
    while follow:
        try:
            for event in journal.following(last, wanted):
                last = _print([event], as_json)
                away = False
        except (NoDaemonError, LateError) as error:
            if not away:
                print(f"sightd: {error}; waiting for it", file=sys.stderr)
            away = True
        time.sleep(_COME_BACK)


def _print_local(reader: JournalReader, wanted: Filter, *, follow: bool, as_json: bool) -> None:
    last = 0
    if wanted.since is None:
        last = reader.span()[1]
        last = max(last, _print(reader.latest(_NEWEST, wanted), as_json))
    while True:
        events = reader.after(last, _AT_ONCE, wanted) if follow or wanted.since is not None else []
        last = max(last, _print(events, as_json))
        if not events and not follow:
            return
        if not events:
            time.sleep(_LOOK_EVERY)


def _journal(args: argparse.Namespace) -> Path:
    """The journal file given as an argument, or the one that the daemon would use. Prints which if it was not given."""
    if args.journal is not None:
        return Path(args.journal)
    service = service_of(args.config)
    environ = service.environment(os.environ) if service else os.environ
    config = args.config or (service.config if service else None)
    options = Events()
    if config is not None:
        options = load(config, environ=environ, plugins=installed_plugins(), cameras=False).config.events
    path = journal_of(options, environ)
    print(f"sightd: no daemon is running; reading {path}", file=sys.stderr)
    return path


def _print(events: Sequence[Event], as_json: bool) -> int:
    """Prints the events and returns the last one's id, or 0."""
    for event in events:
        print(json_text(event.for_json()) if as_json else _line(event))
    sys.stdout.flush()
    return events[-1].id if events else 0


def _line(event: Event) -> str:
    return f"{local_time(event.at)}  {event.id:>6}  {printable(describe(event))}"


def _span(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
