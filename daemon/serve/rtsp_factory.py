"""A factory of shared media that never hands a new viewer a media which is about to end."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

from daemon.serve.gst import GStreamer

HELD_MS = 1000
"""For so long a media does not end that was given to a viewer who does not hold it yet himself."""

Later = Callable[[int, Callable[[], bool]], None]
"""Calls something after milliseconds, on the server's thread, and again as long as it returns True."""


def media_factory(gstreamer: GStreamer, later: Later) -> Any:
    """A GstRTSPMediaFactory, without a launch line yet."""
    return _factory_class(gstreamer)(later)


@functools.cache
def _factory_class(gstreamer: GStreamer) -> Any:
    """GstRTSPMediaFactory keeps a shared media under a key until it has ended, and gst-rtsp-server up to 1.22 gives it
    to whoever comes while it ends: that viewer is told 503. So the key changes as soon as the media begins to end, and
    one that does not end yet is kept from it until the viewer has it."""
    status = gstreamer.rtsp_server.RTSPMediaStatus
    in_use, ending = {status.PREPARED, status.SUSPENDED}, {status.UNPREPARING, status.ERROR}

    class Factory(gstreamer.rtsp_server.RTSPMediaFactory):  # type: ignore[name-defined,misc]
        __gtype_name__ = "SightdMediaFactory"

        def __init__(self, later: Later) -> None:
            super().__init__()
            self._later = later
            self._lock = threading.Lock()
            self._held: list[Any] = []
            self._ended = False
            self._generation = 0
            self._media: Any = None
            self._was_prepared = False
            self.connect("media-constructed", self._constructed)

        def do_gen_key(self, _url: Any) -> str:
            with self._lock:
                media, was_prepared = self._media, self._was_prepared
            now = media.get_status() if media is not None else None  # waits while the media is being prepared
            ended = now in ending or (was_prepared and now == status.UNPREPARED)
            if now in in_use:
                ended = not self._holds(media)
            with self._lock:
                if media is self._media and ended:
                    self._generation += 1
                    self._media = None
                return str(self._generation)

        def end(self) -> None:
            """Holds no media, now and from now on."""
            with self._lock:
                self._ended = True
                held, self._held = self._held, []
            for media in held:
                media.unprepare()

        def _holds(self, media: Any) -> bool:
            """False where it began to end since one looked."""
            if not media.prepare(None):
                return False
            with self._lock:
                self._held.append(media)
                ended = self._ended
            if ended:
                self._let_go(media)
            else:
                self._later(HELD_MS, lambda: self._let_go(media))
            return True

        def _let_go(self, media: Any) -> bool:
            """Where nobody else has it any more, it ends here: its pipeline stops, which takes some ms."""
            with self._lock:
                held = media in self._held
                if held:
                    self._held.remove(media)
            if held:
                media.unprepare()
            return False  # once is enough

        def _constructed(self, _factory: Any, media: Any) -> None:
            with self._lock:
                self._media, self._was_prepared = media, False
            media.connect("prepared", self._prepared)

        def _prepared(self, media: Any) -> None:
            with self._lock:
                if media is self._media:
                    self._was_prepared = True

    return Factory
