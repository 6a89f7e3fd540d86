"""Loads GStreamer's modules, only if RTSP is enabled: everything else runs without them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from sightd.daemon.common.gstreamer import install_log_handler, require_tls_1_2, run_default_context
from sightd.daemon.serve.errors import GStreamerMissingError

PACKAGES = "python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good"
_ELEMENTS = {
    "appsrc": "gstreamer1.0-plugins-base",
    "rtph264pay": "gstreamer1.0-plugins-good",
    "rtpbin": "gstreamer1.0-plugins-good",
    "udpsink": "gstreamer1.0-plugins-good",
}


@dataclass(frozen=True, slots=True)
class GStreamer:
    """The introspected modules, untyped because the distribution's `gi` has no type information."""

    gst: Any
    glib: Any
    gio: Any
    rtsp: Any
    rtsp_server: Any


@functools.cache
def load() -> GStreamer:
    """Returns the modules, initialised once. Raises GStreamerMissingError, which names the packages to install."""
    try:
        require_tls_1_2()
        import gi

        gi.require_version("Gst", "1.0")
        gi.require_version("GstRtsp", "1.0")
        gi.require_version("GstRtspServer", "1.0")
        from gi.repository import Gio, GLib, Gst, GstRtsp, GstRtspServer
    except (ImportError, ValueError) as error:
        raise GStreamerMissingError(
            f"RTSP requires GStreamer's RTSP server for this Python: {error}. Install it with `apt-get "
            f"install {PACKAGES}` and use a virtual environment of the distribution's python3 with "
            "--system-site-packages, or set rtsp.enabled to false."
        ) from error
    install_log_handler()
    Gst.init(None)
    run_default_context(GLib)
    missing = [element for element in _ELEMENTS if Gst.ElementFactory.find(element) is None]
    if missing:
        packages = " ".join(sorted({_ELEMENTS[element] for element in missing}))
        raise GStreamerMissingError(
            f"GStreamer lacks {', '.join(missing)}, which RTSP requires. Install it with `apt-get install "
            f"{packages}`, or set rtsp.enabled to false."
        )
    return GStreamer(gst=Gst, glib=GLib, gio=Gio, rtsp=GstRtsp, rtsp_server=GstRtspServer)
