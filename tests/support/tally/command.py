"""`sightd tally`: shows the number, or adds to it."""

from __future__ import annotations

import argparse

from sightd.plugins.api import Command, CommandContext, add_daemon_options


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("by", nargs="?", type=int, metavar="NUMBER", help="add this")
    parser.add_argument("--plugin", metavar="NAME", help="which instance, if the configuration has several")
    add_daemon_options(parser)


def _run(args: argparse.Namespace, context: CommandContext) -> int:
    from sightd.plugins.api import Mode

    query = {} if args.plugin is None else {"plugin": args.plugin}
    mode = Mode.READ if args.by is None else Mode.WRITE
    with context.api("tally", mode, plugin=args.plugin) as api:
        if args.by is None:
            found = api.json("GET", "/api/v1/tally", query=query)
        else:
            found = api.json("POST", "/api/v1/tally", query=query, body={"by": args.by})
    context.print(f"{found['count']} so far")
    return 0


COMMAND = Command("show a number, or add to it", _add, _run)
