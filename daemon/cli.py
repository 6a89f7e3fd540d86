"""The `sightd` command."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version

from engines.cache import NoHomeError, cache_directory

COMMANDS = {
    "run": "run the daemon",
    "check": "check a configuration file",
    "status": "show what the daemon that runs does",
    "reload": "have the daemon that runs read its configuration again",
    "service": "install, watch, remove the systemd service",
    "analyze": "run the same plug-ins over files",
    "models": "list, fetch, verify, quantize networks",
    "engine": "build, list, verify TensorRT engines for an NVIDIA GPU",
    "events": "what happened, and what happens",
    "faces": "enrol, list, rename, forget persons",
    "style": "list styles, show a picture in each, learn new ones",
    "classifier": "train a classifier on folders of pictures",
    "samples": "fetch sample videos and pictures",
    "plugins": "list and check plug-ins",
    "doctor": "see what is there, what is missing, what to do",
    "token": "make a token for those who come over the network",
    "schema": "print the configuration's JSON schema",
}


def build_parser(commands: Sequence[str] = tuple(COMMANDS)) -> argparse.ArgumentParser:
    """The parser with the sub-parsers of `commands`; only their modules are imported."""
    parser = argparse.ArgumentParser(
        prog="sightd",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Watches cameras, runs neural networks on what they see, and serves the annotated picture live.",
        epilog="commands:\n"
        + "\n".join(f"  {name:10} {summary}" for name, summary in COMMANDS.items())
        + "\n\n`sightd COMMAND --help` tells more, with examples.\n",
    )
    parser.add_argument("--version", action="version", version=f"sightd {version('sightd')}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, help=argparse.SUPPRESS)
    for name in commands:
        importlib.import_module(f"daemon.commands.{name}").add(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command. Exit codes: 0 done, 1 failed, 2 configuration or usage, 3 a required part is missing
    or no daemon answers."""
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
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    return code


def _use_own_gstreamer_registry() -> None:
    """Keeps GStreamer's list of plug-ins in our cache. By default it is a file in the user's home."""
    with suppress(NoHomeError):
        registry = cache_directory(os.environ) / f"gstreamer-{platform.machine()}.bin"
        os.environ.setdefault("GST_REGISTRY", str(registry))


if __name__ == "__main__":
    from daemon.__main__ import main as run_process

    sys.exit(run_process())
