"""`sightd zones`: shows the zones and lines of all cameras, and writes stored ones as configuration."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from sightd.plugins.api import WHICH_DAEMON, Command, CommandContext, add_daemon_options

_EXAMPLES = f"""examples:
  sightd zones list
  sightd zones list --json -c config/sightd.yaml
  sightd zones export                     those that came through the API, for the configuration file

If no daemon runs, its files are read.

{WHICH_DAEMON}
The exit code is 0 if all went well, 1 if something failed, 2 for wrong usage or a faulty configuration, 3 if the daemon
named by --url or --socket does not answer.
"""
_KINDS = {"zones": "zone", "lines": "line"}
_SOURCE = "source"


def add(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.description = "Shows zones and lines. They are changed in the configuration file, or through the API."
    parser.epilog = _EXAMPLES
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    common = argparse.ArgumentParser(add_help=False)
    add_daemon_options(common)
    common.add_argument("--plugin", metavar="NAME", help="name of the zones plug-in, if there are several")
    action = actions.add_parser("list", parents=[common], help="list all zones and lines")
    action.add_argument("--json", action="store_true", help="print JSON")
    actions.add_parser("export", parents=[common], help="print stored zones and lines as configuration (YAML)")


def run(args: argparse.Namespace, context: CommandContext) -> int:
    from sightd.plugins.api import Mode

    query = {} if args.plugin is None else {"plugin": args.plugin}
    with context.api("zones", Mode.READ, plugin=args.plugin) as api:
        cameras = api.json("GET", "/api/v1/zones", query=query)
    if args.action == "export":
        _export(cameras, context)
    elif args.json:
        context.print_json(cameras)
    elif rows := list(_rows(cameras)):
        context.print_table(("CAMERA", "NAME", "KIND", "FROM", "CLASSES", "ACTIVE"), rows)
    else:
        context.print("no zones: add them to the configuration, or PUT them to /api/v1/zones/CAMERA/NAME")
    return 0


def _rows(cameras: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for camera, parts in cameras.items():
        for kind, word in _KINDS.items():
            for name, one in parts[kind].items():
                classes = ", ".join(one.get("classes") or ["all"])
                yield camera, name, word, one[_SOURCE], classes, one.get("active") or "always"


def _export(cameras: Mapping[str, Any], context: CommandContext) -> None:
    import yaml

    stored = {camera: found for camera, parts in cameras.items() if (found := _stored(parts))}
    if not stored:
        context.print("# no zones came through the API")
        return
    text = yaml.safe_dump(
        {"plugins": {"zones": {"cameras": stored}}},
        sort_keys=False,
        default_flow_style=None,
        allow_unicode=True,
        width=110,
    )
    for line in text.splitlines():
        context.print(line)


def _stored(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what came through the API, in the form of the configuration."""
    found: dict[str, Any] = {}
    for kind in _KINDS:
        shapes = {name: _plain(one) for name, one in parts[kind].items() if one[_SOURCE] == "api"}
        if shapes:
            found[kind] = shapes
    return found | {key: _plain(parts[key]) for key in ("scale", "plane") if parts.get(key, {}).get(_SOURCE) == "api"}


def _plain(part: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in part.items() if key != _SOURCE}


COMMAND = Command("list zones and lines, and export stored ones", add, run)
