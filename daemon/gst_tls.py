"""TLS of GStreamer's connections, from cameras and from viewers: accepted versions, and what GIO needs to free them."""

from __future__ import annotations

import functools
import os
import threading
from typing import Any

_TLS_1_2_OR_NEWER = "NORMAL:%COMPAT:-VERS-TLS1.0:-VERS-TLS1.1"
"""As the web server has it. GLib's own default accepts TLS 1.0."""


def require_tls_1_2() -> None:
    """Call before GLib makes its first connection: it reads the setting only then, and holds it for the process."""
    os.environ.setdefault("G_TLS_GNUTLS_PRIORITY", _TLS_1_2_OR_NEWER)


@functools.cache
def run_default_context(glib: Any) -> None:
    """Runs GLib's default main context on a thread of its own, once per process.

    GIO queues the end of each handshake with a viewer there. If nobody runs it, the queue keeps every connection, with
    its socket and certificates. Connections to cameras do not need it.
    """
    loop = glib.MainLoop.new(None, False)
    threading.Thread(target=loop.run, name="glib", daemon=True).start()
