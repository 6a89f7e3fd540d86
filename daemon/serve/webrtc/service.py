"""WebRTC for the web server: a thread with an event loop of its own, started by the first viewer."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
from typing import TYPE_CHECKING, TypeVar

from sightd.daemon.config.webrtc import WebRtc
from sightd.daemon.serve.live_video import LiveVideo

if TYPE_CHECKING:  # OpenSSL and the rest are loaded for the first viewer
    from sightd.daemon.serve.webrtc.sessions import Opened, Sessions

log = logging.getLogger(__name__)

T = TypeVar("T")
_PATIENCE = 5.0
"""Seconds that a request waits for the loop."""


class WebRtcUnavailableError(Exception):
    """No session can be opened now; the message says why."""


class WebRtcService:
    """Thread-safe; `open` and `end` block for at most some seconds. Costs nothing until the first `open`."""

    def __init__(self, options: WebRtc, host: str) -> None:
        """`host` is the listen address of the web server, which applies unless the options name another."""
        self.options = options
        self._host = options.host or host
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._sessions: Sessions | None = None
        self._closed = False

    def open(self, video: LiveVideo, offer: str, reached: str | None) -> Opened:
        """Answers an offer (SDP) with a session that shows `video`. `reached` is the address of this machine that the
        request was sent to. Raises sdp.OfferError, sessions.FullError, and WebRtcUnavailableError."""
        sessions, loop = self._started()
        future = asyncio.run_coroutine_threadsafe(sessions.open(video, offer, reached), loop)
        return _result(future)

    def end(self, number: str) -> bool:
        """Ends the session with this id. Returns False if there is none."""
        with self._lock:
            sessions, loop = self._sessions, self._loop
        if sessions is None or loop is None:
            return False

        async def end() -> bool:
            return sessions.end(number)

        return _result(asyncio.run_coroutine_threadsafe(end(), loop))

    def close(self, deadline: float = 1.0) -> None:
        """Ends all sessions and joins the thread within `deadline` seconds. Idempotent."""
        with self._lock:
            self._closed = True
            loop, thread, self._loop, self._sessions = self._loop, self._thread, None, None
        if loop is None or thread is None:
            return
        loop.call_soon_threadsafe(loop.stop)
        thread.join(deadline)
        if thread.is_alive():
            log.error("the WebRTC server did not stop within %g s", deadline)

    def _started(self) -> tuple[Sessions, asyncio.AbstractEventLoop]:
        from sightd.daemon.serve.webrtc.sessions import Sessions

        with self._lock:
            if self._closed:
                raise WebRtcUnavailableError("sightd is stopping")
            if self._sessions is None or self._loop is None:
                loop = asyncio.new_event_loop()
                try:
                    self._sessions = Sessions(self.options, self._host, loop)
                except OSError as error:
                    loop.close()
                    reason = error.strerror or str(error)
                    where = f"UDP {self._host}:{self.options.port}"
                    raise WebRtcUnavailableError(f"cannot listen on {where} (webrtc.port): {reason}") from error
                self._loop = loop
                self._thread = threading.Thread(
                    target=self._run, args=(loop, self._sessions), name="webrtc", daemon=True
                )
                self._thread.start()
            return self._sessions, self._loop

    def _run(self, loop: asyncio.AbstractEventLoop, sessions: Sessions) -> None:
        asyncio.set_event_loop(loop)
        sessions.start()
        try:
            loop.run_forever()
        finally:
            sessions.close()
            loop.close()


def _result(future: concurrent.futures.Future[T]) -> T:
    try:
        return future.result(_PATIENCE)
    except TimeoutError:
        future.cancel()
        raise WebRtcUnavailableError(f"the WebRTC server did not answer within {_PATIENCE:g} s") from None
