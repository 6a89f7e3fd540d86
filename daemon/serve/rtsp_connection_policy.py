"""Limits for RTSP connections that use resources without playing, or fill memory. No I/O."""

from __future__ import annotations

from typing import Literal

TO_PLAY = 30.0
"""Seconds from connect or TEARDOWN to PLAY. Ends incomplete requests, and a DESCRIBE that nothing follows but for which
the camera is encoded. GStreamer lets a viewer wait 20 s for the first frame."""
TO_AGREE = 10.0
"""Seconds for the TLS handshake, as in the web server. GStreamer has no limit and does not close a connection whose
handshake fails."""
SESSIONS = 4
"""Sessions that a connection may open. A player needs one."""
_BURST, _RATE = 16 * 1024, 2 * 1024
"""Bytes that a connection may send at once, and additionally per second. Players send a few hundred bytes per request
and a report every few seconds; GStreamer keeps headers of any length and number in memory."""


class ConnectionPolicy:
    """Policy of one connection, opened at `now`. Times are monotonic seconds. Not thread-safe."""

    def __init__(self, now: float) -> None:
        self._began = now
        self._idle_since: float | None = now
        self._sessions = 0

    def plays(self) -> None:
        """It plays, or paused after playing: a paused connection costs no more than a playing one."""
        self._idle_since = None

    def stops(self, now: float) -> None:
        """It tore down what it played."""
        self._idle_since = now

    def opens_session(self) -> None:
        self._sessions += 1

    def fault(self, now: float, received: int, *, agreed: bool = True) -> Literal["slow", "flood"] | None:
        """Returns the reason to cut it off, or None. `received` is the total of bytes received; `agreed` is whether the
        TLS handshake is done or not needed."""
        if not agreed and now - self._began > TO_AGREE:
            return "slow"
        if received > _BURST + _RATE * (now - self._began) or self._sessions > SESSIONS:
            return "flood"
        if self._idle_since is not None and now - self._idle_since > TO_PLAY:
            return "slow"
        return None
