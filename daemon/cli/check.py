"""`sightd check`: reports every error in a configuration, with its line and a fix."""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from pathlib import Path

from sightd.daemon.cli.arguments import SubParsers
from sightd.daemon.cli.output import exit_code_of
from sightd.daemon.config.load import LoadedConfig, load
from sightd.daemon.config.plugin_entries import installed_plugins
from sightd.daemon.config.problems import ConfigError

_EPILOG = """\
examples:
  sightd check /etc/sightd/sightd.yaml
  sightd check config/*.yaml

Nothing is started and no camera is contacted. The exit code is 0 if all files are valid, 2 if one is not.
Environment variables and files that the configuration refers to must exist.
"""


def add(commands: SubParsers) -> None:
    """Declares the command's arguments."""
    parser = commands.add_parser(
        "check",
        help="check a configuration file",
        description="Validates configuration files and reports every error with its line and a fix.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", metavar="FILE", nargs="*", type=Path, help="a configuration file")
    parser.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        action="append",
        default=[],
        type=Path,
        help="same as FILE",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Checks each file; returns 2 if any is invalid."""
    files = [*args.files, *args.config]
    if not files:
        print("sightd check: no file given: sightd check FILE", file=sys.stderr)
        return 2
    named = len(files) > 1
    return max(exit_code_of(partial(_check, file, named=named), {ConfigError: 2}) for file in files)


def _check(file: Path, *, named: bool) -> None:
    loaded = load(file, environ=os.environ, plugins=installed_plugins())
    for warning in loaded.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(f"{file}: ok: {summary(loaded)}" if named else f"ok: {summary(loaded)}")


def summary(loaded: LoadedConfig) -> str:
    """Summarises what the file starts, such as `2 cameras, chain detector → tracker`."""
    config = loaded.config
    cameras = [camera for camera in config.cameras.values() if camera.enabled]
    chains = {tuple(config.chain if camera.chain is None else camera.chain) for camera in cameras}
    count = f"{len(cameras)} camera{'' if len(cameras) == 1 else 's'}"
    told = ", ".join(f"chain {' → '.join(chain)}" if chain else "no chain" for chain in sorted(chains, reverse=True))
    return f"{count}, {told}"
