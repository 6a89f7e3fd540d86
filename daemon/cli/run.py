"""`sightd run`: runs the daemon in the foreground."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sightd.daemon.cli.arguments import SubParsers
from sightd.daemon.common.streams import OutputError, discard_output

if TYPE_CHECKING:
    from sightd.daemon.app.daemon import Daemon
    from sightd.daemon.app.main_loop import Requests, Start
    from sightd.daemon.app.reload import Reloads
    from sightd.daemon.app.systemd import Notifier, Watchdog
    from sightd.daemon.common.process import Deadline, Trimmer
    from sightd.daemon.common.progress import ProgressBar
    from sightd.daemon.config.load import LoadedConfig

log = logging.getLogger(__name__)

EXIT_FAILED = 1
EXIT_CONFIGURATION = 2
EXIT_MISSING = 3
STOP_LIMIT = 17.0
"""Seconds after which a hanging stop is aborted: less than the unit's `TimeoutStopSec=`, more than
`daemon.app.daemon.STOP_TIME`, which all steps of a stop share."""


def add(commands: SubParsers) -> None:
    """Declares the command's arguments."""
    parser = commands.add_parser(
        "run",
        help="run the daemon",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Runs the daemon in the foreground until SIGTERM or Ctrl-C; a second signal ends it immediately. "
        "SIGHUP makes it reload its configuration; cameras and plug-ins that did not change keep running.",
        epilog="examples:\n"
        "  sightd run -c config/demo.yaml\n"
        "  sightd check config/sightd.yaml && sightd run -c config/sightd.yaml\n\n"
        "exit codes: 0 stopped, 1 failed, 2 invalid configuration, 3 a required component is missing,\n"
        "70 a thread hung (only under systemd's watchdog)\n",
    )
    parser.add_argument("-c", "--config", type=Path, required=True, metavar="FILE", help="configuration file (YAML)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs until a signal requests the stop."""
    from sightd.daemon.app.logs import configure
    from sightd.daemon.config.load import load
    from sightd.daemon.config.plugin_entries import installed_plugins
    from sightd.daemon.config.problems import ConfigError

    try:
        loaded = load(args.config, environ=os.environ, plugins=installed_plugins())
    except ConfigError as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIGURATION
    configure(loaded.config.log, sys.stderr, os.environ)
    for warning in loaded.warnings:
        log.warning("%s", warning)
    return _serve(loaded)


def _serve(loaded: LoadedConfig) -> int:
    # Imported here, so that `sightd --help` does not load GStreamer, OpenCV and the inference runtimes.
    import faulthandler

    import cv2

    from sightd.daemon.app.daemon import Daemon
    from sightd.daemon.app.main_loop import Requests, Start
    from sightd.daemon.app.reload import Reloads
    from sightd.daemon.app.resources import StateInUseError, locked_state, raise_limit, shortage
    from sightd.daemon.app.systemd import Notifier, extending
    from sightd.daemon.common.process import freeze_gc, limit_malloc_arenas
    from sightd.daemon.common.progress import ProgressBar
    from sightd.daemon.encode.choice import EncoderMissingError
    from sightd.daemon.pipeline.model_loading import engine_loading
    from sightd.daemon.serve.errors import GStreamerMissingError, ServeError
    from sightd.engines.cuda.gpus import Gpus
    from sightd.engines.errors import EngineError
    from sightd.plugins.api import PluginError

    faulthandler.enable()  # a crash in a native library shows the thread, whose name contains the plug-in
    limit_malloc_arenas()
    if told := shortage(loaded.config, raise_limit()):
        log.warning("%s", told)
    cv2.setNumThreads(1)  # our own threads, one per camera, already use all cores
    sys.setswitchinterval(0.001)  # a frame that waits 5 ms for the GIL is late
    notifier, bar, gpus, requests = Notifier(os.environ), ProgressBar(), Gpus(), Requests()
    reloads = Reloads(loaded.path, notifier, requests.fail)
    progress = extending(notifier, bar, partial(_go_on, requests, reloads))
    load_engine = engine_loading(loaded.config.models, loaded.config.engines, progress, gpus)
    freeze_gc()
    try:
        daemon = Daemon(loaded, load_engine, gpus, reloads, progress)
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
    """Starts the daemon, runs it until a stop is requested, and stops it. The main thread only waits for requests, so
    that it can always handle signals."""
    from faulthandler import cancel_dump_traceback_later, dump_traceback_later

    from sightd.daemon.app.daemon import STOP_TIME
    from sightd.daemon.app.main_loop import MainRequest
    from sightd.daemon.app.systemd import Watchdog
    from sightd.daemon.common.process import Deadline, Trimmer, name_threads

    watchdog, trimmer = Watchdog(notifier, daemon.state.healthy, daemon.state.summary, os.environ), Trimmer()
    try:
        with bar:
            started = start.run()
        if not started:
            log.info("stopped during start-up")
            return
        trimmer.start()
        name_threads("sightd")
        _announce(daemon)
        notifier.status(daemon.state.summary())
        notifier.ready()
        watchdog.start()
        reloads.start(daemon)
        while requests.next() is not MainRequest.STOP:
            reloads.ask_once()
        log.info("stopping")
    finally:
        dump_traceback_later(STOP_LIMIT, exit=True)  # if anything hangs: prints where, and ends the process
        notifier.stopping()
        notifier.status("stopping")
        _stop(Deadline(STOP_TIME), watchdog, trimmer, start, reloads, daemon)
        cancel_dump_traceback_later()


def _stop(
    deadline: Deadline, watchdog: Watchdog, trimmer: Trimmer, start: Start, reloads: Reloads, daemon: Daemon
) -> None:
    """Stops all components within one deadline: those that hang are abandoned, so that time remains for the others."""
    from sightd.daemon.app.daemon import PARTS_TIME

    watchdog.close(deadline.within(1.0))
    trimmer.close(deadline.within(1.0))
    start.settle(deadline.within(1.0))
    reloads.close(deadline.within(8.0, keep=PARTS_TIME))
    daemon.stop(deadline)


def _go_on(requests: Requests, reloads: Reloads) -> None:
    """Records progress of a download or engine build. Raises AbandonedError if the daemon is stopping."""
    from sightd.daemon.app.daemon import AbandonedError

    if requests.stopping.is_set():
        raise AbandonedError
    reloads.progress()


def _failed(error: Exception, notifier: Notifier, code: int) -> int:
    from sightd.daemon.common.redaction import redact

    log.error("%s", error)
    notifier.status(redact(str(error)))
    return code


def _announce(daemon: Daemon) -> None:
    """Prints the addresses on standard output, or on standard error if a sink writes events to standard output. Ignores
    a closed output."""
    try:
        _print_addresses(daemon)
    except OutputError as error:
        discard_output()
        log.debug("%s", error)


def _print_addresses(daemon: Daemon) -> None:
    from sightd.daemon.config.delivery import writes_to_stdout

    output = sys.stderr if writes_to_stdout(daemon.state.loaded.config.delivery) else sys.stdout
    for camera in daemon.state.cameras():
        rtsp = daemon.state.rtsp_url(camera.name) or "no RTSP"
        http = daemon.state.http_url()
        print(f"  {camera.title:20} {rtsp}" + (f"   {http}/{camera.name}.mjpg" if http else ""), file=output)
    if http := daemon.state.http_url():
        print(f"  {'console':20} {http}/\n  {'metrics':20} {http}/metrics", file=output, flush=True)
