"""The `sightd` command line."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version

from sightd.daemon.cli.arguments import SubParsers
from sightd.daemon.cli.plugin_commands import CommandError, add_command, installed_commands
from sightd.engines.files import NoHomeError, cache_directory
from sightd.engines.text import printable_lines

COMMANDS = {
    "run": "run the daemon",
    "check": "check a configuration file",
    "status": "show the state of the running daemon",
    "reload": "make the running daemon reload its configuration",
    "service": "install, check or remove the systemd service",
    "analyze": "run plug-ins on image and video files",
    "models": "list, download, verify and quantize models",
    "engine": "build, list and verify TensorRT engines for an NVIDIA GPU",
    "events": "show the event journal",
    "rules": "list the rules for events, and try them on a film",
    "cameras": "find cameras in the network, try their addresses, and move them",
    "clips": "list, save, protect and delete recordings",
    "delivery": "show sinks, and events that they refused",
    "style": "list styles, preview them, train new ones",
    "classifier": "train a classifier on folders of images",
    "detector": "train a detector on your own labelled frames",
    "label": "collect and label frames of your own objects",
    "samples": "download sample videos and images",
    "plugins": "list and check plug-ins",
    "doctor": "check this machine's hardware and software",
    "token": "generate an access token",
    "schema": "print the configuration's JSON schema",
}


def build_parser(asked: Sequence[str] | None = None) -> argparse.ArgumentParser:
    """Builds the parser with the sub-parsers of the commands `asked`, and imports only their modules; by default, of
    all commands. Raises CommandError if one of a package cannot be used."""
    parser, subparsers = _parser()
    installed = None if asked is not None and COMMANDS.keys() >= set(asked) else installed_commands(COMMANDS)
    for name in (*COMMANDS, *(installed.entries if installed else ())) if asked is None else asked:
        if name in COMMANDS:
            importlib.import_module(f"sightd.daemon.cli.{name}").add(subparsers)
        elif installed is not None:
            add_command(subparsers, name, installed.load(name))
    return parser


def _overview() -> argparse.ArgumentParser:
    """Builds a parser that knows the commands' names and what they do, but not their options."""
    installed = installed_commands(COMMANDS)
    summaries = {**COMMANDS, **dict(installed.summaries())}
    parser, subparsers = _parser(
        "\n".join(
            [
                "commands:",
                *(f"  {name:10} {summary}" for name, summary in summaries.items()),
                *installed.unused,
                "\nRun `sightd COMMAND --help` for options and examples.\n",
            ]
        )
    )
    for name in summaries:
        subparsers.add_parser(name)
    return parser


def _parser(epilog: str = "") -> tuple[argparse.ArgumentParser, SubParsers]:
    parser = argparse.ArgumentParser(
        prog="sightd",
        usage="sightd [-h] [--version] COMMAND ...",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Runs neural networks on camera streams and serves the annotated video live.",
        epilog=epilog,
    )
    parser.add_argument("--version", action="version", version=f"sightd {version('sightd')}")
    subparsers = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, help=argparse.SUPPRESS, prog="sightd"
    )
    return parser, subparsers


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit code: 0 done, 1 failed, 2 configuration or usage error, 3 a required part is
    missing or no daemon answers, 130 interrupted."""
    argv = sys.argv[1:] if argv is None else argv
    name = argv[0] if argv else ""
    try:
        known = name in COMMANDS or name in installed_commands(COMMANDS)
        parser = build_parser([name]) if known else _overview()
    except CommandError as error:
        print(f"sightd: {printable_lines(str(error))}", file=sys.stderr)
        return 3
    if not argv:
        parser.print_help()
        return 2
    arguments = parser.parse_args(argv)
    try:
        _use_own_gstreamer_registry()
        code: int = arguments.run(arguments)
    except KeyboardInterrupt:
        return 130
    except NoHomeError as error:
        print(error, file=sys.stderr)
        return 2
    return code


def _use_own_gstreamer_registry() -> None:
    """Keeps GStreamer's plug-in registry in our cache directory instead of the user's home."""
    with suppress(NoHomeError):
        registry = cache_directory(os.environ) / f"gstreamer-{platform.machine()}.bin"
        os.environ.setdefault("GST_REGISTRY", str(registry))
