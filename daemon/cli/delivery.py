"""`sightd delivery`: lists the dead letters of sinks, from their files."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from sightd.daemon.cli.arguments import SubParsers
from sightd.daemon.cli.output import exit_code_of, output, print_table
from sightd.daemon.control.discovery import service_of
from sightd.daemon.delivery.store import DeadLetter, StoreError, dead_letters, store_path
from sightd.engines.text import json_text, local_time
from sightd.plugins.api import UsageError

_EPILOG = """\
examples:
  sudo sightd delivery dead                 of all sinks of the installed service
  sightd delivery dead alarm --json | jq .event

A dead letter is an event that a sink has refused so often that sightd went on with the next one. The command reads the
files in the state directory of the installed service, or in your own, whether or not a daemon runs, and changes
nothing. The exit code is 0 on success, 1 if a file cannot be read, 2 for wrong usage or an unknown sink.
"""


def add(commands: SubParsers) -> None:
    """Declares the command's arguments."""
    parser = commands.add_parser(
        "delivery",
        help="list events that sinks refused",
        description="Shows what became of events that were to be delivered.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    dead = actions.add_parser(
        "dead", help="list dead letters", description="Lists the dead letters of sinks, oldest first."
    )
    dead.add_argument("sink", nargs="?", metavar="SINK", help="only those of this sink")
    dead.add_argument("-c", "--config", type=Path, metavar="FILE", help="of the daemon that runs this configuration")
    dead.add_argument("--json", action="store_true", help="print JSON, one object per line")
    dead.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints the dead letters."""
    return exit_code_of(lambda: _list(args), {UsageError: 2, StoreError: 1})


def _list(args: argparse.Namespace) -> None:
    service = service_of(args.config)
    environ = service.environment(os.environ) if service else os.environ
    folder = store_path(environ, "x").parent
    known = sorted(path.stem for path in folder.glob("*.db"))
    if args.sink is not None and args.sink not in known:
        raise UsageError(f"sink {args.sink} has no file in {folder}; there are: {', '.join(known) or 'none'}")
    found = [
        (name, letter)
        for name in known
        if args.sink in (None, name)
        for letter in dead_letters(store_path(environ, name))
    ]
    if args.json:
        for name, letter in found:
            print(json_text({"sink": name, "at": letter.at, "reason": letter.reason, "event": letter.event}))
    elif found:
        print_table(("SINK", "SINCE", "EVENT", "KIND", "REASON"), [_row(*one) for one in found], output())
    else:
        print("there are no dead letters")


def _row(name: str, letter: DeadLetter) -> tuple[str, ...]:
    return name, local_time(letter.at), str(letter.event["id"]), str(letter.event["kind"]), letter.reason
