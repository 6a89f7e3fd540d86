"""RPC server: answers the daemon's calls with the plug-in in this process."""

from __future__ import annotations

import threading
import traceback
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial

from sightd.daemon.isolation.canvas import RemoteCanvas
from sightd.daemon.isolation.channel import Channel, GoneError
from sightd.daemon.isolation.messages import (
    CANVAS,
    Call,
    CallReply,
    FrameInfo,
    ImageReply,
    ImageRequest,
    ImageUnavailable,
    Raised,
    Stroke,
    Strokes,
)
from sightd.daemon.isolation.shared_images import SharedImageReader
from sightd.daemon.pipeline.faults import NonsenseError
from sightd.plugins.api import AnyPlugin
from sightd.plugins.types import Frame, Image


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
        except Exception as error:  # noqa: BLE001 — pickle raises many types, and nothing of the message was sent
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
        if call.method == "carry":
            return plugin.carry(frames[0], call.results[0])
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
        still=facts.still,
    )
