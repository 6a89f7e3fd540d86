"""A factory of shared media that never gives a new viewer a media that is about to end."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

from sightd.daemon.serve.rtsp.gstreamer import GStreamer

HELD_MS = 1000
Later = Callable[[int, Callable[[], bool]], None]
"""Schedules a call in so many milliseconds on the server's thread, repeated as long as it returns True."""


class MediaKeepAlive:
    """Keeps media of one factory alive by preparing each once more. Thread-safe."""

    def __init__(self, later: Later) -> None:
        self._later = later
        self._lock = threading.Lock()
        self._held: list[Any] = []
        self._ended = False

    def take(self, media: Any) -> bool:
        """Holds the media for a second. Returns False if it had already started to end."""
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

    def end(self) -> None:
        """Releases everything, and holds nothing from now on."""
        with self._lock:
            self._ended = True
            held, self._held = self._held, []
        for media in held:
            media.unprepare()

    def _let_go(self, media: Any) -> bool:
        """Releases the media. If that was the last reference, its pipeline stops here, which takes a few ms."""
        with self._lock:
            held = media in self._held
            if held:
                self._held.remove(media)
        if held:
            media.unprepare()
        return False  # do not repeat


def media_factory(gstreamer: GStreamer, later: Later) -> Any:
    """Returns a GstRTSPMediaFactory without a launch line."""
    return _factory_class(gstreamer)(later)


@functools.cache
def _factory_class(gstreamer: GStreamer) -> Any:
    """GstRTSPMediaFactory caches a shared media by key until it has ended, and gst-rtsp-server up to 1.22 gives it to
    viewers who arrive while it ends: they get 503. So the key changes as soon as the media starts to end, and one still
    in use is kept alive until the new viewer holds it."""
    status = gstreamer.rtsp_server.RTSPMediaStatus
    in_use, ending = {status.PREPARED, status.SUSPENDED}, {status.UNPREPARING, status.ERROR}

    class Factory(gstreamer.rtsp_server.RTSPMediaFactory):  # type: ignore[name-defined,misc]
        __gtype_name__ = "SightdMediaFactory"

        def __init__(self, later: Later) -> None:
            super().__init__()
            self.holds = MediaKeepAlive(later)
            self._lock = threading.Lock()
            self._generation = 0
            self._media: Any = None
            self._was_prepared = False
            self.connect("media-constructed", self._constructed)

        def do_gen_key(self, _url: Any) -> str:
            with self._lock:
                media, was_prepared = self._media, self._was_prepared
            now = media.get_status() if media is not None else None  # blocks while the media is being prepared
            ended = now in ending or (was_prepared and now == status.UNPREPARED)
            if now in in_use:
                ended = not self.holds.take(media)
            with self._lock:
                if media is self._media and ended:
                    self._generation += 1
                    self._media = None
                return str(self._generation)

        def _constructed(self, _factory: Any, media: Any) -> None:
            with self._lock:
                self._media, self._was_prepared = media, False
            media.connect("prepared", self._prepared)

        def _prepared(self, media: Any) -> None:
            with self._lock:
                if media is self._media:
                    self._was_prepared = True

    return Factory
