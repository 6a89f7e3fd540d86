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

from sightd.engines.files import NoHomeError, cache_directory

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
    "faces": "enrol, list, rename and remove people",
    "style": "list styles, preview them, train new ones",
    "classifier": "train a classifier on folders of images",
    "samples": "download sample videos and images",
    "plugins": "list and check plug-ins",
    "doctor": "check this machine's hardware and software",
    "token": "generate an access token",
    "schema": "print the configuration's JSON schema",
}


def build_parser(commands: Sequence[str] = tuple(COMMANDS)) -> argparse.ArgumentParser:
    """Builds the parser with the sub-parsers of `commands`; imports only their modules."""
    parser = argparse.ArgumentParser(
        prog="sightd",
        usage="sightd [-h] [--version] COMMAND ...",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Runs neural networks on camera streams and serves the annotated video live.",
        epilog="commands:\n"
        + "\n".join(f"  {name:10} {summary}" for name, summary in COMMANDS.items())
        + "\n\nRun `sightd COMMAND --help` for options and examples.\n",
    )
    parser.add_argument("--version", action="version", version=f"sightd {version('sightd')}")
    subparsers = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, help=argparse.SUPPRESS, prog="sightd"
    )
    for name in commands:
        importlib.import_module(f"sightd.daemon.cli.{name}").add(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit code: 0 done, 1 failed, 2 configuration or usage error, 3 a required part is
    missing or no daemon answers, 130 interrupted."""
    argv = sys.argv[1:] if argv is None else argv
    asked = [argv[0]] if argv and argv[0] in COMMANDS else list(COMMANDS)
    parser = build_parser(asked)
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
