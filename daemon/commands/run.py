"""`sightd run`: the daemon in the foreground."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.commands import SubParsers
from daemon.streams import OutputError, discard_output

if TYPE_CHECKING:
    from daemon.app import Daemon
    from daemon.config.load import Loaded

log = logging.getLogger(__name__)

EXIT_FAILED = 1
EXIT_CONFIGURATION = 2
EXIT_MISSING = 3


def add(commands: SubParsers) -> None:
    """Declares the command's arguments."""
    parser = commands.add_parser(
        "run",
        help="run the daemon",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Runs the daemon in the foreground until SIGTERM or Ctrl-C; a second signal ends it at once. "
        "SIGHUP has it read its configuration anew: what did not change goes on untouched.",
        epilog="examples:\n"
        "  sightd run -c config/demo.yaml\n"
        "  sightd check config/sightd.yaml && sightd run -c config/sightd.yaml\n\n"
        "exit codes: 0 stopped, 1 failed, 2 the configuration has faults, 3 a required part is missing,\n"
        "70 a loop stood still (under systemd's watchdog alone)\n",
    )
    parser.add_argument("-c", "--config", type=Path, required=True, metavar="FILE", help="configuration file (YAML)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs until a signal comes."""
    from daemon.config.installed import installed_plugins
    from daemon.config.load import load
    from daemon.config.problems import ConfigError
    from daemon.logs import configure

    try:
        loaded = load(args.config, environ=os.environ, plugins=installed_plugins())
    except ConfigError as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIGURATION
    configure(loaded.config.log, sys.stderr, os.environ)
    for warning in loaded.warnings:
        log.warning("%s", warning)
    return _serve(loaded)


def _serve(loaded: Loaded) -> int:
    # Imported here, so that `sightd --help` need not load GStreamer, OpenCV and the networks' runtime.
    import faulthandler

    import cv2

    from daemon.app import Daemon
    from daemon.encode.choice import EncoderMissingError
    from daemon.memory import Trimmer, bound_arenas, spare_what_stays
    from daemon.networks import engine_loading
    from daemon.progress import ProgressBar
    from daemon.serve.errors import GStreamerMissingError, ServeError
    from daemon.service.descriptors import raise_limit, shortage
    from daemon.service.notify import Notifier
    from daemon.service.progress import extending
    from daemon.service.reloading import reload
    from daemon.service.requests import Requests, StoppedEarly
    from daemon.service.watchdog import Watchdog
    from daemon.thread_names import name_threads
    from engines.cuda.gpus import Gpus
    from engines.errors import EngineError
    from plugins.api import PluginError

    faulthandler.enable()  # a crash in a native library tells which thread, and with it which plug-in, it was in
    bound_arenas()
    if told := shortage(loaded.config, raise_limit()):
        log.warning("%s", told)
    cv2.setNumThreads(1)  # our own threads, one a camera, use the cores already
    sys.setswitchinterval(0.001)  # a picture that waits 5 ms for the interpreter is a late picture
    notifier, bar, gpus = Notifier(os.environ), ProgressBar(), Gpus()
    progress = extending(notifier, bar)
    requests, load_engine = Requests(), engine_loading(loaded.config.models, loaded.config.engines, progress, gpus)
    spare_what_stays()
    daemon = Daemon(loaded, load_engine, gpus, requests.reload, progress)
    watchdog, trimmer = Watchdog(notifier, daemon.healthy, daemon.summary, os.environ), Trimmer()
    try:
        with bar:
            daemon.start()
        trimmer.start()
        name_threads("sightd")
        _announce(daemon)
        notifier.ready()
        watchdog.start()
        while (request := requests.next()) is not None:
            reload(daemon, loaded.path, notifier, request)
        log.info("stopping")
    except StoppedEarly:
        log.info("stopped before everything was started")
    except (PluginError, EngineError, GStreamerMissingError, EncoderMissingError) as error:
        log.error("%s", error)
        return EXIT_MISSING
    except ServeError as error:
        log.error("%s", error)
        return EXIT_FAILED
    finally:
        notifier.stopping()
        watchdog.close()
        trimmer.close()
        daemon.stop()
    return 0


def _announce(daemon: Daemon) -> None:
    """Prints where to look, on standard output. The daemon runs without one, too."""
    try:
        _print_addresses(daemon)
    except OutputError as error:
        discard_output()
        log.debug("%s", error)


def _print_addresses(daemon: Daemon) -> None:
    for camera in daemon.cameras():
        rtsp = daemon.rtsp_url(camera.name) or "no RTSP"
        http = daemon.http_url()
        print(f"  {camera.title:20} {rtsp}" + (f"   {http}/{camera.name}.mjpg" if http else ""))
    if http := daemon.http_url():
        print(f"  {'overview':20} {http}/\n  {'metrics':20} {http}/metrics", flush=True)
