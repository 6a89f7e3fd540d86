"""GStreamer's RTSP client: loads its modules with the first RTSP camera, and limits its TCP connections.

Everything but RTSP runs without these modules. rtspsrc reads an answer of any length, and does not reveal which
connection is its own. GIO announces each new connection on the thread that makes it, which is also the thread that
sends the requests.
"""

from __future__ import annotations

import functools
import os
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightd.daemon.capture import rtsp_challenges
from sightd.daemon.common.gstreamer import install_log_handler, require_tls_1_2

_BYTES_RECEIVED = 128
"""Offset of tcpi_bytes_received, a uint64, in Linux's struct tcp_info."""
_MOST_REMEMBERED = 256

_made: dict[int, Callable[[], Any]] = {}
"""By thread, a weak reference to the connection it made last. Connections of other clients are included."""


class RtspConnection:
    """A duplicate of a connection's descriptor. Any thread.

    Its own descriptor, because a reference to the connection object would not do: a strong one keeps the connection
    open, and upgrading a weak one crashes if another thread is freeing the object at that moment. The connection stays
    open until this one is closed as well.
    """

    def __init__(self, connection: Any) -> None:
        """`connection` is open, and its owner must not close it during this call. Raises OSError if there is no
        descriptor left."""
        self._socket = socket.socket(fileno=os.dup(connection.get_socket().get_fd()))
        self._lock = threading.Lock()

    def received(self) -> int:
        """Returns the bytes that the peer has sent so far; 0 after `close`."""
        with self._lock, suppress(OSError, struct.error):
            info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_RECEIVED + 8)
            return int(struct.unpack_from("=Q", info, _BYTES_RECEIVED)[0])
        return 0

    def cut(self) -> None:
        """Shuts the connection down: reads and writes fail at once. Idempotent."""
        with self._lock, suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Closes the duplicate. Idempotent."""
        with self._lock:
            self._socket.close()


def watch(gio: Any, gobject: Any) -> None:
    """Records connections from now on; call it once per process."""
    gio.SocketClient()  # registers its type
    gobject.add_emission_hook(gio.SocketClient, "event", _note, gio.SocketClientEvent.COMPLETE)


def own_connection() -> Any | None:
    """Returns the connection that this thread made since the last call, if it still exists. Release it soon: the
    reference keeps it open."""
    reference = _made.pop(threading.get_ident(), None)
    return None if reference is None else reference()


def _note(_client: Any, event: Any, _target: Any, connection: Any, complete: Any) -> bool:
    if event == complete and connection is not None:
        if len(_made) > _MOST_REMEMBERED:
            _made.clear()
        _made[threading.get_ident()] = connection.weak_ref()
    return True


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


_loading = threading.Lock()
"""Several feeds begin at once, and neither the guard nor PyGObject's classes, made at first use, stand that."""
_MADE_AT_FIRST_USE = (
    "Buffer", "Bus", "Caps", "Element", "MapInfo", "Message", "Pipeline", "Sample", "Structure",
    "BufferFlags", "MapFlags", "MessageType", "ProgressType", "State",
)  # fmt: skip


def load() -> GStreamer:
    """Returns the modules, initialised once per process; from any thread. Raises GStreamerError if something is
    missing, or if a camera could crash the process (see `_guard_challenges`)."""
    with _loading:
        return _loaded()


@functools.cache
def _loaded() -> GStreamer:
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
    install_log_handler()
    Gst.init(None)
    for name in _MADE_AT_FIRST_USE:
        getattr(Gst, name)
    gstreamer = GStreamer(Gst, Gio, GLib, GstRtsp)
    if missing := [name for name in ("rtspsrc", "rtpbin", "udpsrc", "appsink") if not gstreamer.has(name)]:
        raise GStreamerError(f"GStreamer has no element {', '.join(missing)}; {_remedy()}")
    _guard_challenges(Gst)
    watch(Gio, GObject)
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
