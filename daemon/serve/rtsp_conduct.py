"""What is asked of an RTSP connection, so that it neither costs anything for nothing nor fills memory. No I/O."""

from __future__ import annotations

from typing import Literal

TO_PLAY = 30.0
"""Seconds from the connection, or from TEARDOWN, to PLAY. A request that never becomes whole, and a DESCRIBE for which
the camera is encoded and that nothing follows, end there; GStreamer lets a viewer wait 20 s for a first picture."""
TO_AGREE = 10.0
"""Seconds for the handshake of TLS, as the web server gives it. GStreamer neither limits it nor ends a connection whose
handshake fails."""
SESSIONS = 4
"""Sessions that a connection may open. A player needs one."""
_BURST, _RATE = 16 * 1024, 2 * 1024
"""Bytes that a connection may send at any time, and per second on top. Players send some hundred bytes a request and
a report every few seconds; GStreamer keeps headers of any length and number in memory."""


class Conduct:
    """Of one connection, which began at `now`. Times are monotonic, in seconds. One thread at a time."""

    def __init__(self, now: float) -> None:
        self._began = now
        self._idle_since: float | None = now
        self._sessions = 0

    def plays(self) -> None:
        """It plays, or did and pauses: a pause costs no more than playing on."""
        self._idle_since = None

    def stops(self, now: float) -> None:
        """It tore down what it played."""
        self._idle_since = now

    def opens_session(self) -> None:
        self._sessions += 1

    def fault(self, now: float, received: int, *, agreed: bool = True) -> Literal["slow", "flood"] | None:
        """Why it is to be cut off, if it is. `received`: the bytes that came over it, ever. `agreed`: whether the
        handshake of TLS is over, or none is needed."""
        if not agreed and now - self._began > TO_AGREE:
            return "slow"
        if received > _BURST + _RATE * (now - self._began) or self._sessions > SESSIONS:
            return "flood"
        if self._idle_since is not None and now - self._idle_since > TO_PLAY:
            return "slow"
        return None
