"""Tracks RTSP connections: which camera each plays, and cutting off those that hang or misbehave."""

from __future__ import annotations

import logging
import math
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from sightd.daemon.config.model import Rtsp
from sightd.daemon.serve.limits import ConnectionLimiter, RejectionCounter
from sightd.daemon.serve.rtsp.stream import RtspStream

log = logging.getLogger(__name__)

_RECEIVED_AT = 128
"""Offset of `tcpi_bytes_received` in `struct tcp_info` (linux/tcp.h, since 4.1)."""


def received_bytes(connection: socket.socket) -> int:
    """Bytes received over the connection since it was opened. Raises OSError if it is closed."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RECEIVED_AT + 8)
    received: int = struct.unpack_from("=Q", info, _RECEIVED_AT)[0]
    return received


def cut_off_when_stalled(connection: socket.socket, seconds: float) -> None:
    """Makes the kernel end the connection if the peer accepts no byte, or does not respond at all, for `seconds`."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, max(1, int(seconds)))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, int(seconds / 3)))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, int(seconds * 1000)))


def hang_up(connection: socket.socket) -> None:
    """Shuts the connection down in both directions, even if others hold it: a reader on another thread sees EOF.
    Idempotent."""
    with suppress(OSError):  # the peer closed it first
        connection.shutdown(socket.SHUT_RDWR)


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


_SHORTEST_SESSION = 10
"""Seconds. Players send keep-alives at about half the session timeout, and RTCP reports every 5 s."""

_OK, _SESSION_NOT_FOUND = 200, 454
_IN_A_SESSION = ("setup", "play", "pause", "teardown", "get-parameter", "set-parameter")

_MOST_UNREAD = 16 * 1024
"""Receive buffer in bytes: GStreamer reads byte by byte, at 1.6 µs each, even from connections that were cut off."""


class _Tls:
    """TLS state of a new connection, read at once: later GStreamer may have none, and aborts if asked for it.

    Drops its copy of the CA certificates, 4 MB: viewers send no certificate to verify.
    """

    def __init__(self, client: Any) -> None:
        self._tls = client.get_connection().get_tls()
        self._tls.set_database(None)

    @property
    def agreed(self) -> bool:
        """Whether the handshake is complete."""
        return bool(self._tls.get_protocol_version())  # 0 until then


@dataclass(slots=True, eq=False)
class _Connection:
    """`tcp` is our own duplicate descriptor, since GStreamer may close its own at any moment; None if the connection
    broke at once. `reported`: the cut-off has been counted and logged."""

    address: str
    tcp: socket.socket | None
    policy: ConnectionPolicy
    tls: _Tls | None
    plays: RtspStream | None = None
    reported: bool = False
    sessions: set[str] = field(default_factory=set)


class RtspViewers:
    """Tracks every connection and reports to the streams who plays.

    A TCP viewer that accepts no byte for `stall_timeout` seconds is cut off by the kernel (TCP_USER_TIMEOUT), a UDP
    viewer by its session, which expires if neither requests nor RTCP reports arrive. Without this a stopped player
    would count as a viewer forever, and its camera would be encoded for it.

    A connection that exceeds a limit or breaks the `ConnectionPolicy` is cut off by shutting down its socket under
    GStreamer, which then closes it on its own thread: closing it through GStreamer from outside is unsafe while it is
    in use. The methods run on GStreamer's threads.
    """

    def __init__(
        self, options: Rtsp, stream_of: Callable[[str], RtspStream | None], refused: Callable[[str], None]
    ) -> None:
        self._stall_timeout = options.stall_timeout
        self._tls = options.tls is not None
        self._stream_of = stream_of
        self._limiter = ConnectionLimiter(options.max_connections, options.max_connections_per_address)
        self._rejections = RejectionCounter("RTSP", _rejection_reasons(options), refused)
        self._lock = threading.Lock()
        self._connections: dict[Any, _Connection] = {}

    def connected(self, _server: Any, client: Any) -> None:
        """Handles a new connection: admits it or cuts it off, sets its limits and tracks it until it closes."""
        address, tcp = client.get_connection().get_ip(), self._limited(client)
        tls = _Tls(client) if self._tls else None  # refused ones too: 4 MB each until GStreamer frees them
        if full := self._limiter.enter(address):
            self._rejections.add(full, address)
            if tcp is not None:
                hang_up(tcp)
                tcp.close()
            return
        with self._lock:
            self._connections[client] = _Connection(address, tcp, ConnectionPolicy(time.monotonic()), tls)
        client.set_property("post-session-timeout", 0)
        client.connect("new-session", self._session)
        for method in _IN_A_SESSION:
            client.connect(f"pre-{method}-request", self._in_own_session)
        client.connect("play-request", self._plays_now)
        client.connect("pause-request", self._pauses)
        client.connect("teardown-request", self._tears_down)
        client.connect("closed", self._gone)

    def look_after(self) -> None:
        """Cuts off connections that break the policy. Call every second."""
        with self._lock:
            clients = list(self._connections)
        for client in clients:
            self._judge(client)

    @property
    def count(self) -> int:
        """Number of open connections."""
        return len(self._connections)

    def of(self, stream: RtspStream) -> list[Any]:
        """The connections that play this stream."""
        with self._lock:
            return [client for client, one in self._connections.items() if one.plays is stream]

    def _limited(self, client: Any) -> socket.socket | None:
        try:
            tcp = socket.socket(fileno=socket.dup(client.get_connection().get_write_socket().get_fd()))
        except OSError as error:
            log.debug("a viewer left before limits were set: %s", error)
            return None
        try:
            cut_off_when_stalled(tcp, self._stall_timeout)
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _MOST_UNREAD)
        except OSError as error:  # the connection broke at once; "closed" follows
            log.debug("a viewer left while limits were set: %s", error)
        return tcp

    def _judge(self, client: Any) -> None:
        with self._lock:
            one = self._connections.get(client)
            fault = self._fault(client, one) if one is not None else None
            if one is None or fault is None:
                return
            if one.tcp is not None:
                hang_up(one.tcp)
            reported, one.reported = one.reported, True
        if not reported:
            self._rejections.add(fault, one.address)

    def _fault(self, client: Any, one: _Connection) -> Literal["slow", "flood"] | None:
        if client.get_connection().is_tunneled():  # it reads from a connection that is not tracked
            return "flood"
        try:
            received = received_bytes(one.tcp) if one.tcp is not None else 0
        except OSError:
            return None  # it is gone; "closed" follows
        return one.policy.fault(time.monotonic(), received, agreed=one.tls is None or one.tls.agreed)

    def _session(self, client: Any, session: Any) -> None:
        session.set_timeout(max(_SHORTEST_SESSION, math.ceil(self._stall_timeout)))
        with self._lock:
            if client in self._connections:
                self._connections[client].policy.opens_session()
                self._connections[client].sessions.add(session.get_sessionid())
        self._judge(client)

    def _in_own_session(self, client: Any, context: Any) -> int:
        """Rejects sessions of other connections: GStreamer asks for no password within a session."""
        if context.session is None:
            return _OK
        with self._lock:
            one = self._connections.get(client)
            own = one is not None and context.session.get_sessionid() in one.sessions
        return _OK if own else _SESSION_NOT_FOUND

    def _plays_now(self, client: Any, context: Any) -> None:
        stream = self._stream_of(context.uri.abspath)
        with self._lock:
            if (one := self._connections.get(client)) is None:
                return
            one.policy.plays()
            before, one.plays = one.plays, stream
        if before is not None and before is not stream:
            before.viewer_left(id(client))
        if stream is not None:
            stream.viewer_plays(id(client))

    def _pauses(self, client: Any, _context: Any) -> None:
        self._leaves(client)

    def _tears_down(self, client: Any, _context: Any) -> None:
        self._leaves(client)
        with self._lock:
            if client in self._connections:
                self._connections[client].policy.stops(time.monotonic())

    def _gone(self, client: Any) -> None:
        self._leaves(client)
        with self._lock:
            one = self._connections.pop(client, None)
            if one is not None and one.tcp is not None:
                one.tcp.close()  # under the lock: another thread may be using it
        if one is not None:
            self._limiter.leave(one.address)

    def _leaves(self, client: Any) -> None:
        with self._lock:
            one = self._connections.get(client)
            stream = None
            if one is not None:
                stream, one.plays = one.plays, None
        if stream is not None:
            stream.viewer_left(id(client))


def _rejection_reasons(options: Rtsp) -> dict[str, str]:
    return {
        "total": f"limit of {options.max_connections} reached (rtsp.max_connections)",
        "address": f"limit of {options.max_connections_per_address} from one address reached "
        "(rtsp.max_connections_per_address)",
        "slow": f"no TLS handshake within {TO_AGREE:g} s, or no PLAY within {TO_PLAY:g} s",
        "flood": (
            f"it sent more data than a viewer should, opened more than {SESSIONS} sessions, or requested a tunnel"
        ),
    }
