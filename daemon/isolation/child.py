"""The process of one isolated plug-in: `python -m sightd.daemon.isolation.child LIFE SIDE LANE...`, run by the daemon.

The arguments are file descriptors of sockets: one that closes with the daemon, one for calls that must be quick
(`carry`, `draw`, `forget`, and before these the opening), and one for each concurrent call of `process`.
"""

from __future__ import annotations

import faulthandler
import fcntl
import json
import logging
import os
import select
import signal
import sys
import threading

import cv2

from sightd.daemon.isolation.channel import Channel, GoneError, channel_of
from sightd.daemon.isolation.messages import LoadedModel, OpenFailure, OpenReply, OpenRequest, Progressed
from sightd.daemon.isolation.process import RECORD
from sightd.daemon.isolation.rpc_server import RpcServer
from sightd.daemon.memory import Trimmer, freeze_gc, limit_malloc_arenas
from sightd.daemon.pipeline.opening import PluginContext, opened
from sightd.daemon.pipeline.worker import lower_thread_priority
from sightd.daemon.thread_names import name_this_thread
from sightd.plugins.api import AnyPlugin, Plugin

EXIT_FAULT = 70


def main(life: int, side: Channel, channels: list[Channel]) -> None:
    """Opens the plug-in and answers calls until the daemon closes it or ends."""
    _end_with(life)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # systemd signals the daemon's whole group; the daemon ends us
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    faulthandler.enable()
    limit_malloc_arenas()
    freeze_gc()
    Trimmer().start()
    cv2.setNumThreads(1)  # as in the daemon: all cores are in use already
    sys.setswitchinterval(0.001)
    try:
        plugin = _opened(side)
        if plugin is None:
            return
        for number, client in enumerate(channels):
            threading.Thread(target=_work, args=(plugin, client), name=f"plugin:{number}", daemon=True).start()
        RpcServer(plugin, side).run()
    except GoneError:
        return


def _opened(side: Channel) -> AnyPlugin | None:
    """Returns the plug-in; if it cannot be opened, reports that to the daemon and returns None."""
    try:
        order, _ = side.receive()
        assert isinstance(order, OpenRequest)
        _log_to_the_daemon(order.log_level)
        name_this_thread(f"isolated:{order.name}")

        def progress(task: str, done: int, total: int | None) -> None:
            side.send(Progressed(task, done, total))

        context = PluginContext(order.name, order.engine_threads, order.networks(progress), order.config, [])
        plugin = opened(order.plugin_class, order.config, context)
        networks = tuple(LoadedModel(e.model, e.session.backend, e.reason) for e in context.engines)
        kind = type(plugin)
        side.send(OpenReply(plugin.hides, kind.carry is not Plugin.carry, kind.draw is not Plugin.draw, networks))
    except GoneError:
        raise
    except Exception as error:  # noqa: BLE001 — a plug-in may raise anything; it is reported to the daemon
        side.send(OpenFailure(str(error)))
        return None
    return plugin


def _work(plugin: AnyPlugin, client: Channel) -> None:
    lower_thread_priority()
    try:
        RpcServer(plugin, client).run()
    except GoneError:
        return  # the daemon is gone, or is ending this process
    except BaseException:  # top of the thread: nobody else answers the daemon
        logging.getLogger(__name__).exception("the plug-in process stopped because of a bug in sightd")
        os._exit(EXIT_FAULT)


def _end_with(life: int) -> None:
    """Makes the kernel end this process when the daemon's end of the socket closes, even if either hangs: no code of
    ours has to run, which it could not in a hung native library. (The signal is SIGIO, whose default action is to
    terminate; PR_SET_PDEATHSIG would follow the daemon's thread that started us.)"""
    fcntl.fcntl(life, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(life, fcntl.F_SETFL, fcntl.fcntl(life, fcntl.F_GETFL) | os.O_ASYNC | os.O_NONBLOCK)
    if select.select([life], [], [], 0)[0]:
        sys.exit("the daemon is gone")


def _log_to_the_daemon(level: int) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Records())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)


class _Records(logging.Formatter):
    """Formats each record as one line, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        return RECORD + json.dumps([record.levelno, record.name, super().format(record)])


if __name__ == "__main__":
    arguments = [int(word) for word in sys.argv[1:]]
    main(arguments[0], channel_of(arguments[1]), [channel_of(descriptor) for descriptor in arguments[2:]])
