"""Sessions whose ids nobody can guess: whoever has one plays on by it without a password."""

from __future__ import annotations

import functools
import secrets
from typing import Any

from sightd.daemon.serve.gst import GStreamer

_BYTES = 16


def session_pool(gstreamer: GStreamer) -> Any:
    """A GstRTSPSessionPool."""
    return _pool_class(gstreamer)()


@functools.cache
def _pool_class(gstreamer: GStreamer) -> Any:
    """GStreamer makes ids, and the nonces that it shows to everybody, with one Mersenne Twister: who sees 312 nonces
    can tell all ids to come."""

    class Pool(gstreamer.rtsp_server.RTSPSessionPool):  # type: ignore[name-defined,misc]
        __gtype_name__ = "SightdSessionPool"

        def do_create_session_id(self) -> str:
            return secrets.token_urlsafe(_BYTES)

    return Pool
