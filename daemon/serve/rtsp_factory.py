"""A factory of shared media that never hands a new viewer a media which is about to end."""

from __future__ import annotations

import functools
import threading
from typing import Any

from daemon.serve.gst import GStreamer


def media_factory(gstreamer: GStreamer) -> Any:
    """A GstRTSPMediaFactory, without a launch line yet."""
    return _factory_class(gstreamer)()


@functools.cache
def _factory_class(gstreamer: GStreamer) -> Any:
    """GstRTSPMediaFactory keeps a shared media under a key until it has ended, and gst-rtsp-server up to 1.22 gives it
    to whoever comes while it ends: that viewer is told 503. So the key changes as soon as the media begins to end."""
    status = gstreamer.rtsp_server.RTSPMediaStatus
    ending = {status.UNPREPARING, status.ERROR}

    class Factory(gstreamer.rtsp_server.RTSPMediaFactory):  # type: ignore[name-defined,misc]
        __gtype_name__ = "SightdMediaFactory"

        def __init__(self) -> None:
            super().__init__()
            self._lock = threading.Lock()
            self._generation = 0
            self._media: Any = None
            self._was_prepared = False
            self.connect("media-constructed", self._constructed)

        def do_gen_key(self, _url: Any) -> str:
            with self._lock:
                media, was_prepared = self._media, self._was_prepared
            now = media.get_status() if media is not None else None  # waits while the media is being prepared
            with self._lock:
                if media is self._media and (now in ending or (was_prepared and now == status.UNPREPARED)):
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
