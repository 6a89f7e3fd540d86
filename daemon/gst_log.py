"""Sends warnings of GStreamer's libraries to our log, throttled: they quote what peers send."""

from __future__ import annotations

import ctypes
import functools
import logging

from sightd.daemon.log_throttle import LogThrottle

log = logging.getLogger(__name__)

_CRITICAL, _WARNING = 1 << 3, 1 << 4
"""G_LOG_LEVEL_CRITICAL and G_LOG_LEVEL_WARNING; more serious levels have lower bits."""
_Handler = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
_throttle = LogThrottle()


def _handle(domain: bytes | None, level: int, message: bytes | None, _data: int | None) -> None:
    if not level & (_WARNING * 2 - 1):
        return  # not a warning
    kind = f"{(domain or b'GLib').decode(errors='replace')}, {'critical' if level & (_CRITICAL * 2 - 1) else 'warning'}"
    if times := _throttle.add(kind):
        log.warning("%s, %d time(s), most recently: %s", kind, times, ascii((message or b"").decode(errors="replace")))


_handler = _Handler(_handle)
"""A global reference: GLib calls it for the life of the process."""


@functools.cache
def install() -> None:
    """Installs the log handler once per process. Uses ctypes because PyGObject fails on messages that are not UTF-8 and
    prints the error."""
    ctypes.CDLL("libglib-2.0.so.0").g_log_set_default_handler(_handler, None)
