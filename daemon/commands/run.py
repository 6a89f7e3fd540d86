"""`sightd run`: the daemon in the foreground."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from pathlib import Path

from daemon.commands import SubParsers

log = logging.getLogger(__name__)

EXIT_CONFIGURATION = 2
EXIT_MISSING = 3


def add(commands: SubParsers) -> None:
    """Declares the command."""
    parser = commands.add_parser(
        "run",
        help="run the daemon",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Runs the daemon in the foreground until SIGTERM or Ctrl-C; a second signal ends it at once.",
        epilog="examples:\n"
        "  sightd run -c config/demo.yaml\n"
        "  sightd check -c config/sightd.yaml && sightd run -c config/sightd.yaml\n\n"
        "exit codes: 0 stopped, 1 failed, 2 the configuration has faults, 3 a required part is missing\n",
    )
    parser.add_argument("-c", "--config", type=Path, required=True, metavar="FILE", help="configuration file (YAML)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs until a signal comes."""
    # Imported here, so that `sightd --help` need not load GStreamer, OpenCV and the networks' runtime.
    import cv2

    from daemon.app import Daemon
    from daemon.configured import engine_loader, load_configuration
    from daemon.config.problems import ConfigError
    from daemon.logs import configure
    from daemon.serve.errors import GStreamerMissingError, ListenError
    from engines.errors import EngineError
    from plugins.api import PluginError

    try:
        loaded = load_configuration(args.config)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIGURATION
    configure(loaded.config.log, sys.stderr, os.environ)
    for warning in loaded.warnings:
        log.warning("%s", warning)
    cv2.setNumThreads(1)  # our own threads, one a camera, use the cores already
    sys.setswitchinterval(0.001)  # a picture that waits 5 ms for the interpreter is a late picture
    daemon = Daemon(loaded, engine_loader(loaded.config.models))
    stop = _stop_event()
    try:
        daemon.start()
        _announce(daemon)
        stop.wait()
        log.info("stopping")
    except (PluginError, EngineError, GStreamerMissingError) as error:
        log.error("%s", error)
        return EXIT_MISSING
    except ListenError as error:
        log.error("%s", error)
        return 1
    finally:
        daemon.stop()
    return 0


def _stop_event() -> threading.Event:
    """An event that SIGTERM or SIGINT sets; a second signal ends the process at once."""
    stop = threading.Event()

    def on_signal(number: int, _frame: object) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    return stop


def _announce(daemon: "Daemon") -> None:
    """Tells people on a terminal where to look."""
