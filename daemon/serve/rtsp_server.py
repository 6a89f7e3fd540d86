"""The RTSP server: rtsp://HOST:PORT/CAMERA for every camera that was added."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from sightd.daemon.config.model import Rtsp
from sightd.daemon.serve import gst
from sightd.daemon.serve.access.access import Access
from sightd.daemon.serve.descriptors import RESERVE, fault, free
from sightd.daemon.serve.errors import ListenError
from sightd.daemon.serve.rtsp_auth import authentication, permit
from sightd.daemon.serve.rtsp_conduct import SESSIONS
from sightd.daemon.serve.rtsp_sessions import session_pool
from sightd.daemon.serve.rtsp_stream import RtspStream
from sightd.daemon.serve.rtsp_viewers import RtspViewers
from sightd.daemon.serve.view import RtspAddress

log = logging.getLogger(__name__)

_BACKLOG = 128
"""Connections that wait for the server; GStreamer's five are gone in a burst, and who comes then waits a second."""
_MOST_CONTENT = 4 * 1024
"""Bytes of a request's content, of which no viewer sends any to speak of."""
_FAREWELL_MS = 300
"""How long viewers have to leave by themselves after the end of their stream."""


class RtspServer:
    """Serves packets that others encode, with GStreamer's RTSP server on a thread of its own.

    `start`, `add`, `remove` and `close` belong to one thread at a time; the streams may be fed from any.
    GStreamerMissingError and TlsError come from the constructor, ListenError from `start`.
    """

    def __init__(self, options: Rtsp, access: Access, refused: Callable[[str], None] = lambda _reason: None) -> None:
        """Whoever has a name and password of `options`, or a token, may watch; `access` follows who guesses. `refused`
        counts a connection that was turned away or cut off, by its reason."""
        self._options = options
        self._gstreamer = gst.load()
        self._auth = authentication(options, access, self._gstreamer)
        self._streams: dict[str, RtspStream] = {}
        self._viewers = RtspViewers(options, self._stream_at, refused)
        self._server = self._make_server()
        self._context = self._gstreamer.glib.MainContext.new()
        self._loop = self._gstreamer.glib.MainLoop.new(self._context, False)
        self._listening: Any = None
        self._port = options.port
        self._door = threading.Lock()
        self._closing = False
        self._progress_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="rtsp-server", daemon=True)

    def start(self) -> None:
        """Listens and serves from now on. ListenError if the address cannot be had."""
        glib = self._gstreamer.glib
        try:
            self._listen()
        except glib.Error as error:
            raise ListenError("RTSP", "rtsp", self._options.host, self._options.port, error.message) from error
        self._progress_at = time.monotonic()
        self._every_second(self._look_after)
        self._every_second(self._keep_door)
        self._thread.start()
        log.info("RTSP listens on %s:%s", self._options.host, self.port)

    @property
    def port(self) -> int:
        """The TCP port in use; the real one where 0 was asked for."""
        return self._port

    def address(self, camera: str) -> RtspAddress:
        """Where a viewer finds the camera."""
        return RtspAddress(scheme="rtsp" if self._options.tls is None else "rtsps", port=self.port, path=f"/{camera}")

    def add(self, camera: str) -> RtspStream:
        """Serves the camera. ValueError if it is served already."""
        if camera in self._streams:
            raise ValueError(f"camera {camera!r} is served over RTSP already")
        stream = RtspStream(camera, self._gstreamer, self._after)
        factory = stream.factory()
        if self._auth is not None:
            permit(factory, self._gstreamer)
        self._streams[camera] = stream
        self._server.get_mount_points().add_factory(f"/{camera}", factory)
        return stream

    def remove(self, camera: str) -> None:
        """Ends the camera's stream: its viewers are told, and cut off if they stay. Unknown cameras are ignored."""
        stream = self._streams.pop(camera, None)
        if stream is None:
            return
        self._server.get_mount_points().remove_factory(f"/{camera}")
        stream.end()
        self._after(_FAREWELL_MS, lambda: self._cut_off(stream))

    def close(self, deadline: float = 2.0) -> None:
        """Ends all streams, cuts off all viewers and joins the thread, within `deadline` seconds. Twice is safe."""
        for camera in list(self._streams):
            stream = self._streams.pop(camera)
            self._server.get_mount_points().remove_factory(f"/{camera}")
            stream.end()
        if self._closing or not self._thread.is_alive():
            return
        with self._door:
            self._closing = True
            self._shut()
        self._after(_FAREWELL_MS if self._viewers.count else 0, self._quit)
        self._thread.join(deadline)
        if self._thread.is_alive():
            log.error("the RTSP server did not stop within %g s", deadline)

    def _listen(self) -> None:
        """Raises glib.Error where the address cannot be had."""
        self._listening = self._server.create_source(None)
        self._port = int(self._server.get_bound_port())
        self._server.set_service(str(self._port))  # it is the same where it has to be taken anew
        self._listening.attach(self._context)

    def _shut(self) -> None:
        if self._listening is not None:
            self._listening.destroy()
            self._listening = None

    def _keep_door(self) -> bool:
        """Lets nobody in while descriptors run out: GStreamer would try in vain without end, and GLib aborts the
        process where it gets none. Those who watch stay."""
        left = free()
        with self._door:
            if self._closing:
                return False
            if left < RESERVE and self._listening is not None:
                log.error("RTSP takes no new viewers: %s", fault())
                self._shut()
            elif left >= 2 * RESERVE and self._listening is None:
                with contextlib.suppress(self._gstreamer.glib.Error):  # the next second may be better
                    self._listen()
                    log.info("RTSP takes new viewers again")
        return True

    def _make_server(self) -> Any:
        rtsp_server = self._gstreamer.rtsp_server
        server = rtsp_server.RTSPServer()
        server.set_address(self._options.host)
        server.set_service(str(self._options.port))
        server.set_backlog(_BACKLOG)
        server.set_content_length_limit(_MOST_CONTENT)
        sessions = session_pool(self._gstreamer)
        sessions.set_max_sessions(SESSIONS * self._options.max_connections)
        server.set_session_pool(sessions)
        pool = rtsp_server.RTSPThreadPool()
        pool.set_max_threads(-1)  # one a connection: a viewer who waits for a first picture holds up nobody else
        server.set_thread_pool(pool)
        if self._auth is not None:
            server.set_auth(self._auth)
        server.connect("client-connected", self._viewers.connected)
        return server

    def _run(self) -> None:
        self._context.push_thread_default()
        try:
            self._loop.run()
        finally:
            self._context.pop_thread_default()

    def _stream_at(self, path: str) -> RtspStream | None:
        return self._streams.get(path.strip("/").split("/")[0])

    @property
    def progress_at(self) -> float:
        """Monotonic time at which its loop last turned: it does every second."""
        return self._progress_at

    def _look_after(self) -> bool:
        self._progress_at = time.monotonic()
        self._server.get_session_pool().cleanup()
        self._viewers.look_after()
        return True

    def _cut_off(self, stream: RtspStream) -> bool:
        for client in self._viewers.of(stream):
            client.close()
        return False

    def _quit(self) -> bool:
        self._server.client_filter(lambda *_: self._gstreamer.rtsp_server.RTSPFilterResult.REMOVE)
        self._loop.quit()
        return False

    def _every_second(self, call: Callable[[], bool]) -> None:
        self._schedule(self._gstreamer.glib.timeout_source_new_seconds(1), call)

    def _after(self, milliseconds: int, call: Callable[[], bool]) -> None:
        self._schedule(self._gstreamer.glib.timeout_source_new(milliseconds), call)

    def _schedule(self, source: Any, call: Callable[[], bool]) -> None:
        source.set_callback(lambda *_: call())
        source.attach(self._context)
