"""The options by which commands select events, and the journal that they ask: a daemon's, or a file."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sightd.daemon.cli.arguments import moment
from sightd.daemon.config.load import load
from sightd.daemon.config.model import Events
from sightd.daemon.config.plugin_entries import installed_plugins
from sightd.daemon.control.client import Client, ControlError
from sightd.daemon.control.discovery import DaemonSelection, find, local_setup
from sightd.daemon.events.event import Event, event_of
from sightd.daemon.events.journal_reader import JournalReader, journal_of
from sightd.daemon.events.query import HIGHEST, Filter
from sightd.daemon.events.statistics import Grouping, statistics
from sightd.plugins.api import Phase, add_daemon_options

_SILENCE = 60.0
"""Seconds of silence after which a stream counts as broken: the daemon sends a comment every 15 s."""
_LOCAL_BUDGET = 300.0
"""Maximum seconds of a query of a file; Ctrl-C ends it earlier."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that select the journal and the events."""
    add_daemon_options(parser)
    add = parser.add_argument
    add("--journal", type=Path, metavar="FILE", help="read this journal file instead of asking a daemon")
    add("--since", type=moment, metavar="TIME", help="only events of the last 30m, 2h, 7d, or since 2026-03-01T12:00")
    add("--until", type=moment, metavar="TIME", help="only events before that")
    add("--camera", metavar="NAME", help="only events of this camera")
    add("--kind", action="append", metavar="KIND", help="only this kind, or a pattern such as 'zone.*'; repeatable")
    add("--zone", metavar="NAME", help="only events of this zone")
    add("--line", metavar="NAME", help="only events of this line")
    add("--class", dest="object_class", metavar="NAME", help="only events of objects of this class")
    add("--track", type=int, metavar="NUMBER", help="only events of this track")
    add("--person", metavar="NAME", help="only events of this person")
    add("--phase", choices=list(map(str, Phase)), help="only events of this phase")
    add("--began", type=int, metavar="ID", help="only updates and the end of the event with this id")
    add("--rule", metavar="NAME", help="only events that this rule selected")
    add("--text", metavar="TEXT", help="only events whose facts contain this text")


def filter_of(args: argparse.Namespace) -> Filter:
    """Returns what the options select."""
    phase = None if args.phase is None else Phase(args.phase)
    return Filter(
        camera=args.camera, kinds=tuple(args.kind or ()), since=args.since, until=args.until, zone=args.zone,
        line=args.line, object_class=args.object_class, track=args.track, person=args.person, phase=phase,
        began=args.began, rule=args.rule, text=args.text,
    )  # fmt: skip


class LocalJournal:
    """The journal in a file. Methods raise JournalError and InvalidQueryError."""

    def __init__(self, path: Path) -> None:
        self._reader = JournalReader(path, budget=_LOCAL_BUDGET)

    def newest(self) -> int:
        return self._reader.span()[1]

    def after(self, last: int, limit: int, wanted: Filter, before: int = HIGHEST) -> list[Event]:
        return self._reader.after(last, limit, wanted, before)

    def latest(self, limit: int, wanted: Filter) -> list[Event]:
        return self._reader.latest(limit, wanted)

    def follow(self, last: int, limit: int, wanted: Filter) -> tuple[list[Event], int]:
        """Like `JournalReader.follow`."""
        return self._reader.follow(last, limit, wanted)

    def statistics(self, wanted: Filter, grouping: Grouping, timezone: str | None) -> dict[str, Any]:
        return statistics(self._reader, wanted, grouping, time.time()).for_json()


class RemoteJournal:
    """The journal of a running daemon. Methods raise ControlError and ApiError."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def newest(self) -> int:
        return max((event.id for event in self._events({"limit": 1})), default=0)

    def after(self, last: int, limit: int, wanted: Filter, before: int = HIGHEST) -> list[Event]:
        return self._events({"after": last, "before": before, "limit": limit, **_query(wanted)})

    def latest(self, limit: int, wanted: Filter) -> list[Event]:
        return self._events({"limit": limit, **_query(wanted)})

    def statistics(self, wanted: Filter, grouping: Grouping, timezone: str | None) -> dict[str, Any]:
        asked = {"per": grouping.per, "by": list(grouping.by) or None, "timezone": timezone}
        query = {name: value for name, value in asked.items() if value is not None} | _query(wanted)
        found: dict[str, Any] = self._client.json("GET", "/api/v1/events/statistics", query=query)
        return found

    def following(self, last: int, wanted: Filter) -> Iterator[Event]:
        """Yields events with an id above `last` as they happen, until the daemon ends the stream. `wanted` has no times
        and no text."""
        query = {"after": last, **_query(wanted)}
        with self._client.lines("/api/v1/events/stream", query=query, silence=_SILENCE) as lines:
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
        return [self._event(form) for form in self._client.json("GET", "/api/v1/events", query=query)]

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


def source_of(args: argparse.Namespace) -> LocalJournal | RemoteJournal:
    """Returns the journal that the options select. Raises ConfigError, UsageError and ControlError."""
    client = find(DaemonSelection.of(args), os.environ) if args.journal is None else None
    return LocalJournal(_journal(args)) if client is None else RemoteJournal(client)


def _query(wanted: Filter) -> dict[str, object]:
    asked = {
        "camera": wanted.camera, "kind": list(wanted.kinds) or None, "since": wanted.since, "until": wanted.until,
        "zone": wanted.zone, "line": wanted.line, "class": wanted.object_class, "track": wanted.track,
        "person": wanted.person, "phase": wanted.phase, "began": wanted.began, "rule": wanted.rule, "text": wanted.text,
    }  # fmt: skip
    return {name: value for name, value in asked.items() if value is not None}


def _journal(args: argparse.Namespace) -> Path:
    """The journal file given as an argument, or the one that the daemon would use. Prints which if it was not given."""
    if args.journal is not None:
        return Path(args.journal)
    config, environ = local_setup(args.config)
    options = Events()
    if config is not None:
        options = load(config, environ=environ, plugins=installed_plugins(), cameras=False).config.events
    path = journal_of(options, environ)
    print(f"sightd: no daemon is running; reading {path}", file=sys.stderr)
    return path
