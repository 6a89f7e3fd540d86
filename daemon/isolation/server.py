"""The process of an isolated plug-in: `python -m sightd.daemon.isolation.server LIFE SIDE CALLS...`, run by the daemon.

The arguments are file descriptors of sockets: one that closes with the daemon, one for opening the plug-in and for
calls that must be quick (`predict`, `draw`, `forget`), and one for each concurrent call of `process`. An RPC server
answers the daemon's calls on each of the sockets for calls.
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
import traceback
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial

import cv2

from sightd.daemon.common.process import (
    Trimmer,
    freeze_gc,
    limit_malloc_arenas,
    lower_thread_priority,
    name_this_thread,
)
from sightd.daemon.isolation.channel import Channel, GoneError, channel_of
from sightd.daemon.isolation.opening import PluginContext, opened
from sightd.daemon.isolation.process import RECORD
from sightd.daemon.isolation.protocol import (
    CANVAS,
    Call,
    CallReply,
    FrameInfo,
    ImageReply,
    ImageRequest,
    ImageUnavailable,
    LoadedModel,
    NonsenseError,
    OpenFailure,
    OpenReply,
    OpenRequest,
    Progressed,
    Raised,
    RemoteCanvas,
    Stroke,
    Strokes,
)
from sightd.daemon.isolation.shared_images import SharedImageReader
from sightd.plugins.api import AnyPlugin, Frame, Image, Plugin

EXIT_FAULT = 70


class ImageUnavailableError(Exception):
    """A frame's image is not available."""


class RpcServer:
    """One channel, one call at a time. `run` belongs to one thread; a plug-in may request images from others."""

    def __init__(self, plugin: AnyPlugin, channel: Channel) -> None:
        self._plugin = plugin
        self._channel = channel
        self._windows: dict[int, SharedImageReader] = defaultdict(SharedImageReader)
        self._windows[CANVAS] = SharedImageReader(writable=True)
        self._asking = threading.Lock()
        self._call: object = None
        """Token of the current call; images can only be fetched during the call they belong to."""

    def run(self) -> None:
        """Serves calls until the plug-in is closed. Raises GoneError if the daemon is gone."""
        while True:
            call, _ = self._channel.receive()
            assert isinstance(call, Call)
            self._call = object()
            answer = self._answer(call)
            with self._asking:  # a thread of the plug-in may be fetching an image
                self._call = None
            kept = tuple(place for place, window in self._windows.items() if window.is_held())
            if isinstance(answer, Raised):
                self._channel.send(Raised(answer.kind, answer.message, answer.trace, kept))
            else:
                self._send(CallReply(answer.value, kept, answer.strokes))
            if call.method == "close":
                return

    def _send(self, answer: CallReply) -> None:
        try:
            self._channel.send(answer)
        except GoneError:
            raise
        except Exception as error:  # noqa: BLE001 — pickle raises many types, and no part of the message was sent
            told = f"its result cannot be sent to the daemon: {type(error).__name__}: {error}"
            self._channel.send(Raised(NonsenseError.__name__, told, "", answer.kept))

    def _answer(self, call: Call) -> CallReply | Raised:
        """Calls the method. Separate from `run` so that no image is referenced any more when it has returned."""
        canvas = RemoteCanvas(call.canvas, self._lent)
        try:
            return CallReply(self._result(call, canvas), (), canvas.strokes)
        except (Exception, SystemExit) as error:  # noqa: BLE001 — a plug-in may raise anything; the daemon counts it
            return Raised(type(error).__name__, str(error), "".join(traceback.format_exception(error)))

    def _result(self, call: Call, canvas: RemoteCanvas) -> object:
        plugin = self._plugin
        frames = [_frame(facts, partial(self._picture, self._call, n)) for n, facts in enumerate(call.frames)]
        if call.method == "process":
            return plugin.process(frames, call.results)
        if call.method == "predict":
            return plugin.predict(frames[0], call.results[0])
        if call.method == "draw":
            plugin.draw(canvas, frames[0], call.results[0])
        elif call.method == "forget":
            plugin.forget(call.camera)
        else:
            plugin.close()
        return None

    def _picture(self, call: object, place: int) -> Image:
        with self._asking:
            if call is not self._call:
                raise ImageUnavailableError(
                    "an isolated plug-in can get the image of a frame only during the call that delivers the frame"
                )
            self._channel.send(ImageRequest(place))
            return self._shown(place)

    def _lent(self, strokes: Sequence[Stroke]) -> Image:
        with self._asking:
            self._channel.send(Strokes(strokes))
            return self._shown(CANVAS)

    def _shown(self, place: int) -> Image:
        message, file = self._channel.receive()
        if isinstance(message, ImageUnavailable):
            raise ImageUnavailableError(message.message)
        assert isinstance(message, ImageReply)
        return self._windows[place].show(message.shape, file)


def _frame(facts: FrameInfo, decode: Callable[[], Image]) -> Frame:
    return Frame(
        facts.camera,
        facts.seq,
        facts.size,
        decode,
        captured_at=facts.captured_at,
        wall_time=facts.wall_time,
        pts=facts.pts,
        thumb=lambda: facts.thumb,
        still=facts.still,
    )


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
        side.send(OpenReply(plugin.redacts, kind.predict is not Plugin.predict, kind.draw is not Plugin.draw, networks))
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
