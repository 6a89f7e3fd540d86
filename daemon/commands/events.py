"""`sightd events`: what happened, from the journal's file, whether or not a daemon runs."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from daemon.commands import SubParsers
from daemon.config.installed import installed_plugins
from daemon.config.load import load
from daemon.config.model import Events
from daemon.config.problems import ConfigError
from daemon.events.event import Event, told
from daemon.events.place import journal_of
from daemon.events.reading import Filter, JournalError, JournalReader
from plugins.units import parse_duration

_EPILOG = """\
examples:
  sightd events                             the newest 50
  sightd events --follow --camera door      and those that come, until Ctrl-C
  sightd events --since 2h --kind camera.down
  sightd events --since 1d --json | jq .    one JSON object a line

The file is read and never changed. The exit code is 0, 1 where there is no journal, 2 for wrong usage or a faulty
configuration.
"""
_LOOK_EVERY = 0.5
"""Seconds between two looks for new events."""
_NEWEST, _AT_ONCE = 50, 500


def add(commands: SubParsers) -> None:
    """Declares the command's arguments."""
    parser = commands.add_parser(
        "events",
        help="tell what happened",
        description="Tells what happened: cameras and plug-ins that went and came back, reloads, starts and stops.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-c", "--config", type=Path, metavar="FILE", help="take the journal that a configuration names")
    parser.add_argument("--journal", type=Path, metavar="FILE", help="the journal's file (default: among the state)")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with those that come, until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="for programs: one object a line")
    parser.add_argument("--camera", metavar="NAME", help="of this camera alone")
    parser.add_argument("--kind", metavar="KIND", help="of this kind alone, such as camera.down")
    parser.add_argument("--since", type=_span, metavar="TIME", help="of the last 30m, 2h, 7d; without it the newest 50")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    try:
        path = args.journal or journal_of(_options(args.config), os.environ)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    since = None if args.since is None else time.time() - args.since
    try:
        _tell(JournalReader(path), Filter(args.camera, args.kind, since), follow=args.follow, as_json=args.json)
    except JournalError as error:
        print(f"sightd: {error}", file=sys.stderr)
        return 1
    return 0


def _tell(reader: JournalReader, wanted: Filter, *, follow: bool, as_json: bool) -> None:
    last = 0
    if wanted.since is None:
        last = reader.span()[1]
        last = max(last, _say(reader.latest(_NEWEST, wanted), as_json))
    while True:
        events = reader.after(last, _AT_ONCE, wanted) if follow or wanted.since is not None else []
        last = max(last, _say(events, as_json))
        if not events and not follow:
            return
        if not events:
            time.sleep(_LOOK_EVERY)


def _say(events: Sequence[Event], as_json: bool) -> int:
    """Prints them; the last one's id, 0 where there is none."""
    for event in events:
        print(json.dumps(event.for_json(), ensure_ascii=False) if as_json else _line(event))
    sys.stdout.flush()
    return events[-1].id if events else 0


def _line(event: Event) -> str:
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(event.at))}  {event.id:>6}  {told(event)}"


def _options(config: Path | None) -> Events:
    if config is None:
        return Events()
    return load(config, environ=os.environ, plugins=installed_plugins()).config.events


def _span(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
