"""`sightd run`: the daemon in the foreground."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.commands import SubParsers
from daemon.streams import OutputError, discard_output

if TYPE_CHECKING:
    from daemon.app import Daemon
    from daemon.config.load import Loaded
    from daemon.deadline import Deadline
    from daemon.memory import Trimmer
    from daemon.progress import ProgressBar
    from daemon.service.notify import Notifier
    from daemon.service.reloading import Reloads
    from daemon.service.requests import Requests
    from daemon.service.starting import Start
    from daemon.service.watchdog import Watchdog

log = logging.getLogger(__name__)

EXIT_FAILED = 1
EXIT_CONFIGURATION = 2
EXIT_MISSING = 3
STOP_LIMIT = 17.0
"""Seconds after which a stop that hangs is broken off: less than `TimeoutStopSec=` of the unit, and more than
`daemon.app.STOP_TIME`, which all parts of a stop share."""


def add(commands: SubParsers) -> None:
    """Declares the command's arguments."""
    parser = commands.add_parser(
        "run",
        help="run the daemon",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Runs the daemon in the foreground until SIGTERM or Ctrl-C; a second signal ends it at once. "
        "SIGHUP makes it reload its configuration; what did not change keeps running.",
        epilog="examples:\n"
        "  sightd run -c config/demo.yaml\n"
        "  sightd check config/sightd.yaml && sightd run -c config/sightd.yaml\n\n"
        "exit codes: 0 stopped, 1 failed, 2 the configuration has faults, 3 a required part is missing,\n"
        "70 a thread hung (only under systemd's watchdog)\n",
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
    from daemon.memory import bound_arenas, spare_what_stays
    from daemon.networks import engine_loading
    from daemon.progress import ProgressBar
    from daemon.serve.errors import GStreamerMissingError, ServeError
    from daemon.service.descriptors import raise_limit, shortage
    from daemon.service.notify import Notifier
    from daemon.service.progress import extending
    from daemon.service.reloading import Reloads
    from daemon.service.requests import Requests
    from daemon.service.starting import Start
    from daemon.service.state_lock import StateInUseError, locked_state
    from engines.cuda.gpus import Gpus
    from engines.errors import EngineError
    from plugins.api import PluginError

    faulthandler.enable()  # a crash in a native library tells which thread, and with it which plug-in, it was in
    bound_arenas()
    if told := shortage(loaded.config, raise_limit()):
        log.warning("%s", told)
    cv2.setNumThreads(1)  # our own threads, one a camera, use the cores already
    sys.setswitchinterval(0.001)  # a picture that waits 5 ms for the interpreter is a late picture
    notifier, bar, gpus, requests = Notifier(os.environ), ProgressBar(), Gpus(), Requests()
    reloads = Reloads(loaded.path, notifier, requests.fail)
    progress = extending(notifier, bar, partial(_go_on, requests, reloads))
    load_engine = engine_loading(loaded.config.models, loaded.config.engines, progress, gpus)
    spare_what_stays()
    try:
        daemon = Daemon(loaded, load_engine, gpus, reloads.ask, progress)
        with ExitStack() as state:

            def start() -> None:
                state.enter_context(locked_state(loaded, os.environ))
                daemon.start()

            _run(daemon, Start(start, requests), requests, reloads, notifier, bar)
    except (PluginError, EngineError, GStreamerMissingError, EncoderMissingError) as error:
        return _failed(error, notifier, EXIT_MISSING)
    except (ServeError, StateInUseError) as error:
        return _failed(error, notifier, EXIT_FAILED)
    notifier.status("stopped")
    return 0


def _run(
    daemon: Daemon, start: Start, requests: Requests, reloads: Reloads, notifier: Notifier, bar: ProgressBar
) -> None:
    """Starts the daemon, runs it until it is asked to stop, and stops it. The main thread only waits for requests, so
    that it answers signals whatever hangs."""
    from faulthandler import cancel_dump_traceback_later, dump_traceback_later

    from daemon.app import STOP_TIME
    from daemon.deadline import Deadline
    from daemon.memory import Trimmer
    from daemon.service.requests import Request
    from daemon.service.watchdog import Watchdog
    from daemon.thread_names import name_threads

    watchdog, trimmer = Watchdog(notifier, daemon.healthy, daemon.summary, os.environ), Trimmer()
    try:
        with bar:
            started = start.run()
        if not started:
            log.info("stopped before everything was started")
            return
        trimmer.start()
        name_threads("sightd")
        _announce(daemon)
        notifier.status(daemon.summary())
        notifier.ready()
        watchdog.start()
        reloads.start(daemon)
        while requests.next() is not Request.STOP:
            reloads.ask_once()
        log.info("stopping")
    finally:
        dump_traceback_later(STOP_LIMIT, exit=True)  # whatever hangs: says where, and ends the process
        notifier.stopping()
        notifier.status("stopping")
        _stop(Deadline(STOP_TIME), watchdog, trimmer, start, reloads, daemon)
        cancel_dump_traceback_later()


def _stop(
    deadline: Deadline, watchdog: Watchdog, trimmer: Trimmer, start: Start, reloads: Reloads, daemon: Daemon
) -> None:
    """Ends all parts by one deadline: what hangs is left behind, and time remains for what must still be closed."""
    from daemon.app import PARTS_TIME

    watchdog.close(deadline.within(1.0))
    trimmer.close(deadline.within(1.0))
    start.settle(deadline.within(1.0))
    reloads.close(deadline.within(8.0, keep=PARTS_TIME))
    daemon.stop(deadline)


def _go_on(requests: Requests, reloads: Reloads) -> None:
    """A download or an engine build goes on, unless the daemon stops."""
    from daemon.app import AbandonedError

    if requests.stopping.is_set():
        raise AbandonedError
    reloads.progress()


def _failed(error: Exception, notifier: Notifier, code: int) -> int:
    from daemon.redact import redact

    log.error("%s", error)
    notifier.status(redact(str(error)))
    return code


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
