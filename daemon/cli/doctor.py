"""`sightd doctor`: reports what this machine has, what is missing, and how to fix it."""

from __future__ import annotations

import argparse
import json
import os
import sys
import textwrap
from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console
from rich.text import Text

from sightd.daemon.cli.arguments import SubParsers
from sightd.daemon.config.load import load
from sightd.daemon.config.model import Config
from sightd.daemon.config.plugin_entries import installed_plugins
from sightd.daemon.config.problems import ConfigError
from sightd.daemon.control.client import ControlError
from sightd.daemon.control.discovery import DaemonSelection, find
from sightd.daemon.tools.doctor.checks import checks, exit_code
from sightd.daemon.tools.doctor.finding import Finding, System
from sightd.engines.models.catalog import Catalog
from sightd.engines.models.store import ModelStore, default_directory
from sightd.plugins.api import ApiError

_EPILOG = """\
examples:
  sightd doctor
  sightd doctor -c /etc/sightd/sightd.yaml     also what this file requires: ports, TLS, folders
  sightd doctor --json

The exit code is 0 if nothing required is missing, 3 if a backend for video or models is missing, 1 if something else
is missing, 2 if the configuration is invalid.
"""
_STYLES = {"ok": "green", "note": "yellow", "missing": "bold red", "in use": "bold red"}
_STATE_WIDTH = max(map(len, _STYLES))


def add(commands: SubParsers) -> None:
    """Declares the command's arguments."""
    parser = commands.add_parser(
        "doctor",
        help="check this machine's hardware and software",
        description="Checks the hardware and software of this machine and explains how to fix what is missing.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-c", "--config", metavar="FILE", type=Path, help=("also check what this configuration requires")
    )
    parser.add_argument("--json", action="store_true", help="print a JSON list instead of a table")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs every check and prints the findings."""
    try:
        config = load(args.config, environ=os.environ, plugins=installed_plugins()).config if args.config else Config()
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    folder = config.models.directory or default_directory(os.environ)
    findings = [
        check()
        for check in checks(System(served=served_ports(args.config)), config, folder, lambda: stored_models(folder))
    ]
    if args.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        _print(findings, Console())
    return exit_code(findings)


def served_ports(config: Path | None) -> dict[str, int]:
    """Ports used by the running daemon of this configuration, by server; empty if none is running or it does not
    answer."""
    try:
        client = find(DaemonSelection(config=config), os.environ)
        servers = client.status()["servers"] if client else {}
    except (ControlError, ApiError):  # `sightd status` reports the reason; here the port then counts as taken
        return {}
    ports = {name: urlsplit(address).port for name, address in servers.items() if name in ("rtsp", "http") and address}
    return {name: port for name, port in ports.items() if port is not None}


def stored_models(folder: Path) -> list[str]:
    """Names of the catalogue's models stored in `folder`."""
    store = ModelStore(folder)
    return [model.name for model in Catalog.load() if store.find(model) is not None]


def _print(findings: list[Finding], console: Console) -> None:
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        line = Text(f"{finding.state:{_STATE_WIDTH}}", _STYLES[finding.state])
        line.append(f"  {finding.name:{width}}  ", "default")
        line.append(_below(finding.found, _STATE_WIDTH + width + 4, console.width), "default")
        console.print(line, soft_wrap=True, highlight=False)
        if finding.fix:  # on one line, so that a command in it can be copied
            fix = Text(" " * (_STATE_WIDTH + width + 4) + f"→ {finding.fix}", "dim")
            console.print(fix, soft_wrap=True, highlight=False)
    console.print("\n" + (_failures(findings) or "Everything required is available."), markup=False, highlight=False)


def _failures(findings: list[Finding]) -> str:
    """Summarises failures, as in `missing: opencv; in use: rtsp port`; "" if there are none."""
    names: dict[str, list[str]] = {}
    for finding in findings:
        if finding.failed:
            names.setdefault(finding.state, []).append(finding.name)
    return "; ".join(f"{state}: {', '.join(of_state)}" for state, of_state in names.items())


def _below(text: str, indent: int, width: int) -> str:
    """Wraps the text and indents all lines but the first; long words such as paths stay whole."""
    room = max(20, width - indent)
    lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
    return ("\n" + " " * indent).join(lines)
