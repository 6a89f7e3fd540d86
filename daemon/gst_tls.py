"""TLS for GStreamer connections to cameras and from viewers: accepted versions, and what GIO needs to free
connections."""

from __future__ import annotations

import functools
import os
import threading
from typing import Any

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
