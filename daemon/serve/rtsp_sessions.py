"""RTSP sessions with unguessable ids: a client that knows one can play without a password."""

from __future__ import annotations

import functools
import secrets
from typing import Any

from sightd.daemon.serve.gst import GStreamer

_BYTES = 16


def session_pool(gstreamer: GStreamer) -> Any:
    """Returns a GstRTSPSessionPool."""
    return _pool_class(gstreamer)()


@functools.cache
def _pool_class(gstreamer: GStreamer) -> Any:
    """GStreamer derives session ids and the public nonces from one Mersenne Twister: anyone who sees 312 nonces can
    predict all later ids."""

    class Pool(gstreamer.rtsp_server.RTSPSessionPool):  # type: ignore[name-defined,misc]
        __gtype_name__ = "SightdSessionPool"

        def do_create_session_id(self) -> str:
            return secrets.token_urlsafe(_BYTES)

    return Pool
