"""`sightd status`: shows the state of the running daemon as a table or JSON."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from sightd.daemon.cli.arguments import SubParsers
from sightd.daemon.cli.output import exit_code_of, output, print_table
from sightd.daemon.control.client import ControlError
from sightd.daemon.control.discovery import DaemonSelection, client_for
from sightd.engines.text import json_text, local_time, printable, printable_lines
from sightd.plugins.api import WHICH_DAEMON, ApiError, UsageError, add_daemon_options

_EPILOG = f"""\
examples:
  sudo sightd status                        the installed service
  sightd status -c cameras.yaml             the daemon you started with this file
  sightd status --json | jq .cameras        for programs; docs/service.md lists the fields

{WHICH_DAEMON}
The exit code is 0 if the daemon is ready (all cameras send, all plug-ins run, the state can be written), 1 if it is
not, 2 for wrong usage, 3 if no daemon answers or this user has no access.
"""
EXIT_READY, EXIT_NOT_READY, EXIT_USAGE, EXIT_NO_ANSWER = 0, 1, 2, 3
_SEEN = ("live", "late", "failing")
"""States in which frames arrive."""

Form = Mapping[str, Any]


def add(commands: SubParsers) -> None:
    """Declares the command's arguments."""
    parser = commands.add_parser(
        "status",
        help="show the state of the running daemon",
        description="Shows cameras, plug-ins, models, viewers, storage and versions of the running daemon.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_daemon_options(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Queries the daemon and prints its answer."""
    codes = {UsageError: EXIT_USAGE, ControlError: EXIT_NO_ANSWER, ApiError: EXIT_NO_ANSWER}
    return exit_code_of(lambda: _run(args), codes)


def _run(args: argparse.Namespace) -> int:
    status = client_for(DaemonSelection.of(args), os.environ).status()
    if args.json:
        print(json_text(status))
    else:
        show(status, output())
    return EXIT_READY if status["ready"] else EXIT_NOT_READY


def show(status: Form, console: Console) -> None:
    """Prints the response of /api/v1/status in readable form."""
    state = "ready" if status["ready"] else "not ready"
    up = duration(status["uptime"])
    console.print(Text(printable(f"sightd {status['version']}: {state}, up {up}, {status['config']}")))
    for reason in status["reasons"]:
        console.print(Text(printable(f"  ! {reason}"), style="red"))
    configuration = status["configuration"]
    if configuration is not None and configuration["state"] != "current":
        detail = configuration["detail"] or ""
        told = f"  ! last reload: {configuration['state']}. {detail}".replace("\n", "\n    ")
        console.print(Text(printable_lines(told), style="yellow"), soft_wrap=True)
    console.print()
    for titles, rows in (
        (("CAMERA", "STATE", "FPS", "SIZE", "AGE", "VIEWERS", "LAST ERROR"), map(_camera, status["cameras"])),
        (("PLUG-IN", "STATE", "TIME", "MODEL", "RUNS ON", "FAULTS"), _plugins(status["plugins"])),
        (("SINK", "TYPE", "STATE", "PENDING", "DEAD", "LOST", "FAULT"), map(_sink, status.get("sinks", ()))),
    ):
        if shown := list(rows):
            print_table(titles, shown, console)
            console.print()
    for line in _lines(status):
        console.print(Text(printable(line)), soft_wrap=True)


def _camera(camera: Form) -> Sequence[str]:
    size, age, viewers = camera["size"], camera["age"], camera["viewers"]
    watching = [f"{count} {name.upper()}" for name, count in viewers.items() if count]
    error = camera["reason"] or camera["last_error"] or ""
    seen = camera["state"] in _SEEN
    return (
        camera["name"],
        camera["state"] if seen else f"{camera['state']} since {local_time(camera['since'])}",
        f"{camera['fps']:.1f}" if seen else "-",
        f"{size[0]}x{size[1]}" if size else "-",
        f"{age:.2f} s" if age is not None else "-",
        ", ".join(watching) or "-",
        error,
    )


def _plugins(plugins: Sequence[Form]) -> Iterator[Sequence[str]]:
    for plugin in plugins:
        seconds = plugin["seconds"]
        took = "-" if seconds is None else f"{1000 * seconds:.1f} ms"
        models = ", ".join(engine["model"] for engine in plugin["engines"]) or "-"
        places = {f"{engine['backend']} ({engine['precision']}, {engine['device']})" for engine in plugin["engines"]}
        faults = f"{plugin['faults']}: {plugin['last_fault']}" if plugin["faults"] else "0"
        yield plugin["name"], plugin["state"], took, models, ", ".join(sorted(places)) or "-", faults


def _sink(sink: Form) -> Sequence[str]:
    oldest = "" if sink["oldest"] is None or not sink["pending"] else f" ({duration(sink['oldest'])})"
    numbers = f"{sink['pending']}{oldest}", str(sink["dead"]), str(sink["lost"])
    return sink["name"], sink["type"], sink["state"], *numbers, sink["fault"] or "-"


def _lines(status: Form) -> Iterator[str]:
    named = {"control": "control socket "}
    listening = {name: address for name, address in status["servers"].items() if address is not None}
    addresses = [f"{named.get(name, '')}{address}" for name, address in listening.items()]
    yield f"serves    {', '.join(addresses) or 'nothing'}"
    storage = status["storage"]
    free = "" if storage["free"] is None else f", {size(storage['free'])} of {size(storage['total'])} free"
    yield f"state     {storage['directory']}{free}"
    yield f"journal   {_store(storage['journal'])}"
    for plugin, store in storage.get("plugins", {}).items():
        yield f"{printable(store['kind']):9} {_store(store)} ({plugin})"
    yield f"versions  {', '.join(f'{name} {number}' for name, number in status['versions'].items())}"


def _store(store: Form) -> str:
    held = "" if store["size"] is None else f", {size(store['size'])}"
    return f"{store['path']}{held}" + (f": {store['fault']}" if store["fault"] else "")


def duration(seconds: float) -> str:
    """Formats a duration with its two largest units: "3 d 4 h", "12 min 5 s"."""
    left = max(0, int(seconds))
    parts = []
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, length)
        parts.append((count, unit))
    while len(parts) > 1 and parts[0][0] == 0:
        parts.pop(0)
    return " ".join(f"{count} {unit}" for count, unit in parts[:2])


def size(count: int) -> str:
    """Formats a size in bytes with binary units."""
    value, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value /= 1024
        units.pop(0)
    return f"{value:.0f} {units[0]}" if units[0] == "B" else f"{value:.1f} {units[0]}"
