"""The RTSP server: rtsp://HOST:PORT/CAMERA for every added camera."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from sightd.daemon.config.model import Rtsp
from sightd.daemon.serve.auth import Access
from sightd.daemon.serve.errors import ListenError
from sightd.daemon.serve.limits import DESCRIPTOR_RESERVE, descriptor_shortage, free_descriptors
from sightd.daemon.serve.rtsp import gstreamer
from sightd.daemon.serve.rtsp.auth import authentication, permit, renewal, session_pool
from sightd.daemon.serve.rtsp.stream import RtspStream
from sightd.daemon.serve.rtsp.viewers import SESSIONS, RtspViewers
from sightd.daemon.serve.view import RtspAddress

log = logging.getLogger(__name__)

_BACKLOG = 128
"""Backlog of pending connections; a burst overruns GStreamer's five, and later clients then wait a second."""
_MOST_CONTENT = 4 * 1024
"""Maximum bytes of a request body; viewers send almost none."""
_FAREWELL_MS = 300
"""Milliseconds that viewers get to leave after their stream has ended."""


class RtspServer:
    """Serves packets encoded elsewhere, with GStreamer's RTSP server on its own thread.

    Call `start`, `add`, `remove` and `close` from one thread at a time; streams may be fed from any. The constructor
    raises GStreamerMissingError and TlsError, `start` raises ListenError.
    """

    def __init__(self, options: Rtsp, access: Access, refused: Callable[[str], None] = lambda _reason: None) -> None:
        """Anyone with the user and password of `options`, or a token, may watch; `access` rate-limits failed logins.
        `refused` counts rejected and cut-off connections by reason."""
        self._options = options
        self._gstreamer = gstreamer.load()
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
        """Starts listening and serving. Raises ListenError if the address cannot be bound."""
        glib = self._gstreamer.glib
        try:
            self._listen()
        except glib.Error as error:
            raise ListenError("RTSP", "rtsp", self._options.host, self._options.port, error.message) from error
        self._progress_at = time.monotonic()
        self._every_second(self._look_after)
        self._every_second(self._keep_door)
        self._thread.start()
        log.info("RTSP is listening on %s:%s", self._options.host, self.port)

    @property
    def port(self) -> int:
        """The TCP port in use; the actual one if 0 was requested."""
        return self._port

    def address(self, camera: str) -> RtspAddress:
        """Where viewers reach the camera."""
        return RtspAddress(scheme="rtsp" if self._options.tls is None else "rtsps", port=self.port, path=f"/{camera}")

    def renewal(self) -> Callable[[], None] | None:
        """Reads the certificate and its key again. Returns a function that uses them for new connections; None if they
        have not changed, or without TLS. Raises TlsError if they cannot be used. Any thread."""
        tls = self._options.tls
        return None if tls is None else renewal(self._auth, tls, self._gstreamer)

    def add(self, camera: str) -> RtspStream:
        """Adds a camera and returns its stream. Raises ValueError if it was already added."""
        if camera in self._streams:
            raise ValueError(f"camera {camera!r} is already served over RTSP")
        stream = RtspStream(camera, self._gstreamer, self._after)
        factory = stream.factory()
        if self._auth is not None:
            permit(factory, self._gstreamer)
        self._streams[camera] = stream
        self._server.get_mount_points().add_factory(f"/{camera}", factory)
        return stream

    def remove(self, camera: str) -> None:
        """Ends the camera's stream: viewers are notified, and cut off if they stay. Ignores unknown cameras."""
        stream = self._streams.pop(camera, None)
        if stream is None:
            return
        self._server.get_mount_points().remove_factory(f"/{camera}")
        stream.end()
        self._after(_FAREWELL_MS, lambda: self._cut_off(stream))

    def close(self, deadline: float = 2.0) -> None:
        """Ends all streams, cuts off all viewers and joins the thread, within `deadline` seconds. Idempotent."""
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
        """Raises glib.Error if the address cannot be bound."""
        self._listening = self._server.create_source(None)
        self._port = int(self._server.get_bound_port())
        self._server.set_service(str(self._port))  # keep the port if it is bound again
        self._listening.attach(self._context)

    def _shut(self) -> None:
        if self._listening is not None:
            self._listening.destroy()
            self._listening = None

    def _keep_door(self) -> bool:
        """Stops listening while file descriptors run out: GStreamer would retry endlessly, and GLib aborts the process
        if it gets none. Current viewers stay."""
        left = free_descriptors()
        with self._door:
            if self._closing:
                return False
            if left < DESCRIPTOR_RESERVE and self._listening is not None:
                log.error("RTSP does not accept new viewers: %s", descriptor_shortage())
                self._shut()
            elif left >= 2 * DESCRIPTOR_RESERVE and self._listening is None:
                with contextlib.suppress(self._gstreamer.glib.Error):  # retried in a second
                    self._listen()
                    log.info("RTSP accepts new viewers again")
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
        pool.set_max_threads(-1)  # one per connection: a viewer waiting for a first frame delays nobody else
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
        """Monotonic time of the main loop's last iteration; there is one every second."""
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
