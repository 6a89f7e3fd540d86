"""RPC client: makes one call at a time to a plug-in in another process, and answers its requests meanwhile."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence

from sightd.daemon.isolation.channel import Channel
from sightd.daemon.isolation.protocol import (
    CANVAS,
    Call,
    CallReply,
    FrameInfo,
    ImageReply,
    ImageRequest,
    ImageUnavailable,
    NonsenseError,
    Raised,
    Strokes,
    drawn,
)
from sightd.daemon.isolation.shared_images import SharedImageWriter
from sightd.plugins.api import Canvas, Frame, Image, Results


class RemoteError(Exception):
    """An exception of a plug-in in its own process; raised as a subclass with the original class's name."""


class RpcClient:
    """The daemon's end of a channel for calls. One thread at a time."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._rooms: dict[int, SharedImageWriter] = defaultdict(SharedImageWriter)

    def call(
        self,
        method: str,
        frames: Sequence[Frame] = (),
        results: Sequence[Results] = (),
        *,
        canvas: Canvas | None = None,
        camera: str = "",
        patience: float | None = None,
    ) -> object:
        """Returns the method's result. Raises RemoteError if it raises, NonsenseError if its result cannot be sent,
        TimeoutError if nothing arrives for `patience` s, GoneError if the process ended. After the last two no further
        call is possible."""
        size = (0, 0) if canvas is None else canvas.size
        self._channel.be_patient(patience)
        self._channel.send(Call(method, [FrameInfo.of(frame) for frame in frames], list(results), size, camera))
        lent = False
        while True:
            message, _ = self._channel.receive()
            if isinstance(message, ImageRequest):
                self._give(message.place, frames)
            elif isinstance(message, Strokes) and canvas is not None:
                self._draw(canvas, message, lent=lent)
                self._put(CANVAS, canvas.image)
                lent = True
            elif isinstance(message, Raised):
                self._leave(message.kept)
                raise _error(message)
            else:
                assert isinstance(message, CallReply)
                if canvas is not None:
                    self._draw(canvas, message, lent=lent)
                self._leave(message.kept)
                return message.value

    def close(self) -> None:
        self._channel.close()
        self._rooms.clear()

    def _give(self, place: int, frames: Sequence[Frame]) -> None:
        try:
            image = frames[place].host()
        except Exception as error:  # noqa: BLE001 — the other side waits for an answer, even if decoding fails
            self._channel.send(ImageUnavailable(f"{type(error).__name__}: {error}"))
        else:
            self._put(place, image)

    def _put(self, place: int, image: Image) -> None:
        file = self._rooms[place].put(image)
        try:
            self._channel.send(ImageReply(image.shape), file)
        finally:
            if file is not None:
                os.close(file)

    def _draw(self, canvas: Canvas, message: Strokes | CallReply, *, lent: bool) -> None:
        if lent:
            canvas.image[:] = self._rooms[CANVAS].back()
        drawn(canvas, message.strokes)

    def _leave(self, kept: Sequence[int]) -> None:
        for place in kept:
            self._rooms[place].leave()


def _error(raised: Raised) -> Exception:
    if raised.kind == NonsenseError.__name__:
        return NonsenseError(raised.message)
    error: RemoteError = type(raised.kind, (RemoteError,), {})(raised.message)
    error.add_note(f"in the plug-in's own process:\n{raised.trace}")
    return error
