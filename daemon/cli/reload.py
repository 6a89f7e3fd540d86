"""`sightd reload`: makes the running daemon reload its configuration, and prints what changed."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from typing import Any

from sightd.daemon.cli.arguments import SubParsers
from sightd.daemon.cli.output import exit_code_of
from sightd.daemon.control.client import ControlError, LateError, NoDaemonError
from sightd.daemon.control.discovery import DaemonSelection, client_for
from sightd.engines.text import json_text, printable_lines
from sightd.plugins.api import WHICH_DAEMON, ApiError, UsageError, add_daemon_options

_EPILOG = f"""\
examples:
  sudo sightd reload                        the installed service
  sightd reload -c cameras.yaml             the daemon that you started with this file
  sightd reload --url https://box:8080 --token-file box.token

Cameras and plug-ins whose configuration did not change keep running without losing a frame. If the file is invalid,
nothing changes.

{WHICH_DAEMON}
The exit code is 0 if the configuration was applied, 2 if it was rejected (each error is printed with file and line)
or for wrong usage, 3 if no daemon answers, 1 for any other failure.
"""
_WORDS = {
    "added": "cameras added",
    "changed": "cameras changed",
    "removed": "cameras removed",
    "opened": "plug-ins started",
    "replaced": "plug-ins restarted",
    "adjusted": "plug-ins adjusted",
    "closed": "plug-ins stopped",
    "renewed": "certificates renewed",
    "sinks": "sinks changed",
}
EXIT_REFUSED = EXIT_USAGE = 2
EXIT_NO_DAEMON = 3


def add(commands: SubParsers) -> None:
    """Declares the command's arguments."""
    parser = commands.add_parser(
        "reload",
        help="make the running daemon reload its configuration",
        description="Makes the running daemon reload its configuration file, waits until it is done, and prints what "
        "changed.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_daemon_options(parser)
    parser.add_argument(
        "--timeout", type=_seconds, default=600.0, metavar="TIME",
        help="how long to wait: a new plug-in may have to download its model (default: 10m)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Requests the reload and waits for its result."""
    codes = {NoDaemonError: EXIT_NO_DAEMON, UsageError: EXIT_USAGE, ApiError: 1, ControlError: 1}
    return exit_code_of(lambda: _reload(args), codes)


def _reload(args: argparse.Namespace) -> int:
    try:
        changes = client_for(DaemonSelection.of(args), os.environ).reload(args.timeout)
    except ApiError as error:
        if error.status != 409:
            raise
        print(f"{error}\nsightd: the configuration was rejected; nothing was changed", file=sys.stderr)
        return EXIT_REFUSED
    except LateError as error:
        raise LateError(f"{error}; the reload may still be in progress; see the log for its result") from error
    print(json_text(changes) if args.json else printable_lines(summary(changes)))
    return 0


def summary(changes: Mapping[str, Any]) -> str:
    """Describes the response of /api/v1/reload, one line per kind of change."""
    lines = [f"{words}: {', '.join(names)}" for key, words in _WORDS.items() if (names := changes.get(key))]
    if restart := changes.get("restart"):
        lines.append(f"take effect only after a restart: {', '.join(restart)}")
    return "\n".join(lines) or "nothing changed"


def _seconds(text: str) -> float:
    from sightd.plugins.api.units import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
