"""Versions of TLS that GStreamer's connections accept, from cameras and from viewers."""

from __future__ import annotations

import os

_TLS_1_2_OR_NEWER = "NORMAL:%COMPAT:-VERS-TLS1.0:-VERS-TLS1.1"
"""As the web server has it. GLib's own default accepts TLS 1.0."""


def require_tls_1_2() -> None:
    """Call before GLib makes its first connection: it reads the setting only then, and holds it for the process."""
    os.environ.setdefault("G_TLS_GNUTLS_PRIORITY", _TLS_1_2_OR_NEWER)
