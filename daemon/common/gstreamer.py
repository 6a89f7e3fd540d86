"""Process-wide GStreamer settings: its libraries' warnings go to our log, throttled, and its TLS versions."""

from __future__ import annotations

import ctypes
import functools
import logging
import os
import threading
from typing import Any

from sightd.engines.log_throttle import LogThrottle

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
def install_log_handler() -> None:
    """Sends warnings of GStreamer's libraries to our log, throttled because they quote what peers send.

    Installs the handler once per process. Uses ctypes because PyGObject fails on messages that are not UTF-8 and prints
    the error."""
    ctypes.CDLL("libglib-2.0.so.0").g_log_set_default_handler(_handler, None)


_TLS_1_2_OR_NEWER = "NORMAL:%COMPAT:-VERS-TLS1.0:-VERS-TLS1.1"
"""The same as for the web server. GLib's default accepts TLS 1.0."""


def require_tls_1_2() -> None:
    """Call before GLib opens its first connection: it reads this setting only once per process."""
    os.environ.setdefault("G_TLS_GNUTLS_PRIORITY", _TLS_1_2_OR_NEWER)


@functools.cache
def run_default_context(glib: Any) -> None:
    """Runs GLib's default main context on its own thread, once per process.

    GIO queues the completion of each TLS handshake with a viewer there. If nobody runs the context, the queue keeps
    every connection alive, with its socket and certificates. Connections to cameras do not need it.
    """
    loop = glib.MainLoop.new(None, False)
    threading.Thread(target=loop.run, name="glib", daemon=True).start()
