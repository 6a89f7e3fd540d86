"""GStreamer's modules for reading RTSP, loaded with the first RTSP camera: everything else runs without them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightd.daemon import gst_log
from sightd.daemon.capture import rtsp_challenges, rtsp_wire
from sightd.daemon.gst_tls import require_tls_1_2

PACKAGES = "python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good"


class GStreamerError(Exception):
    """GStreamer or one of its elements is missing, or cannot be used safely. The message says what is wrong."""


@dataclass(frozen=True, slots=True)
class GStreamer:
    """The introspected modules; the distribution's `gi` has no types."""

    gst: Any
    gio: Any
    glib: Any
    rtsp: Any

    def element(self, factory: str, **properties: Any) -> Any:
        """Returns a new element; an underscore in a property's name stands for a dash. Raises GStreamerError if there
        is no such element."""
        element = self.gst.ElementFactory.make(factory)
        if element is None:
            raise GStreamerError(f"GStreamer has no element {factory}")
        for name, value in properties.items():
            element.set_property(name.replace("_", "-"), value)
        return element

    def has(self, factory: str) -> bool:
        """Returns whether there is an element of that name."""
        return self.gst.ElementFactory.find(factory) is not None


@functools.cache
def load() -> GStreamer:
    """Returns the modules, initialised once per process. Raises GStreamerError if something is missing, or if a camera
    could crash the process (see `_guard_challenges`)."""
    require_tls_1_2()
    try:
        import gi

        gi.require_version("Gst", "1.0")
        gi.require_version("GstApp", "1.0")
        gi.require_version("GstRtsp", "1.0")
        from gi.repository import Gio, GLib, GObject, Gst, GstApp, GstRtsp  # noqa: F401 - GstApp is for appsinks
    except (ImportError, ValueError) as error:
        raise GStreamerError(
            f"RTSP cameras require GStreamer bindings for this Python: {error}; {_remedy()}"
        ) from error
    gst_log.install()
    Gst.init(None)
    gstreamer = GStreamer(Gst, Gio, GLib, GstRtsp)
    if missing := [name for name in ("rtspsrc", "rtpbin", "udpsrc", "appsink") if not gstreamer.has(name)]:
        raise GStreamerError(f"GStreamer has no element {', '.join(missing)}; {_remedy()}")
    _guard_challenges(Gst)
    rtsp_wire.watch(Gio, GObject)
    return gstreamer


def _guard_challenges(gst: Any) -> None:
    """Guards rtspsrc against malformed login challenges. Raises GStreamerError if that fails: a camera could crash this
    process, so rtspsrc must not be used."""
    plugin = Path(gst.ElementFactory.find("rtspsrc").load().get_plugin().get_filename())
    try:
        rtsp_challenges.install(plugin)
    except rtsp_challenges.GuardError as error:
        raise GStreamerError(f"GStreamer cannot be protected against malformed login challenges: {error}") from error


def _remedy() -> str:
    return f"install it with `apt-get install {PACKAGES}`"
