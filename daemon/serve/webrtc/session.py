"""One viewer's WebRTC session: ICE as the lite agent (RFC 8445, 2.5), DTLS, and packets encrypted for this viewer."""

from __future__ import annotations

import logging
import secrets
import struct
import time
from asyncio import AbstractEventLoop, TimerHandle
from collections import deque
from collections.abc import Callable, Iterable

from sightd.daemon.serve.webrtc import stun
from sightd.daemon.serve.webrtc.dtls import Handshake, HandshakeError, Identity
from sightd.daemon.serve.webrtc.rtp import CLOCK, Frame, feedback, sender_report
from sightd.daemon.serve.webrtc.sdp import Offer
from sightd.daemon.serve.webrtc.udp import Route, UdpPort

log = logging.getLogger(__name__)

MOST_PAYLOAD = 1170
"""Bytes of an RTP payload: with both headers and the tag, a datagram fits networks with an MTU of 1280."""
CONNECT_WITHIN = 15.0
"""Seconds within which a session must be connected."""
SILENT_AFTER = 20.0
"""Seconds without a check of the viewer after which the session ends; browsers check every few seconds."""
_HISTORY = 64
"""Frames that can be sent again."""
_MOST_REPEATED = 400
"""Datagrams sent again per second."""
_PACE, _PACED_BYTES = 0.005, 64_000
"""Seconds between parts of a backlog, and bytes of a part: 100 Mbit/s."""
_MOST_BACKLOG = 8 << 20
_HEADER = struct.Struct("!BBHII")


class Session:
    """Runs on the loop of the WebRTC server. `ended` is called once, with the reason."""

    def __init__(
        self,
        offer: Offer,
        port: UdpPort,
        identity: Identity,
        loop: AbstractEventLoop,
        request_keyframe: Callable[[], None],
        connected: Callable[[Session], None],
        ended: Callable[[Session, str], None],
    ) -> None:
        self.id = secrets.token_urlsafe(24)
        self.ufrag, self.password = secrets.token_hex(4), secrets.token_hex(16)
        self.ssrc = secrets.randbits(31) + 1
        self.cname = secrets.token_hex(8)
        self.offer = offer
        self.routes: set[Route] = set()
        """All ways from which the viewer has sent a valid check."""
        self._port, self._loop = port, loop
        self._request_keyframe, self._connected, self._ended = request_keyframe, connected, ended
        self._handshake = Handshake(identity, offer.fingerprint, self.ssrc, self._send_raw)
        self._route: Route | None = None
        self._timer: TimerHandle | None = None
        self._pacer: TimerHandle | None = None
        self._began = self._heard_at = loop.time()
        self._over = False
        self._index = secrets.randbits(15)
        self._offset = secrets.randbits(32)
        self._needs_key = True
        self._history: deque[tuple[int, Frame, int]] = deque(maxlen=_HISTORY)
        self._backlog: deque[tuple[Frame, int]] = deque()
        self._backlog_bytes = 0
        self._packets = self._bytes = 0
        self._repeated = 0

    @property
    def epoch(self) -> float:
        """Wall-clock time of the RTP timestamp 0, in s since the epoch; timestamps wrap after 2**32 ticks."""
        return time.time() - (now_stamp() + self._offset) / CLOCK

    def checked(self, message: stun.Message, route: Route) -> None:
        """Answers an authentic check of the viewer; its nomination chooses the way."""
        self._heard_at = self._loop.time()
        self.routes.add(route)
        if self._route is None or message.nominates:
            self._route = route
        self._port.send(route, [stun.response(message.transaction, route.peer, self.password)])

    def received(self, datagram: bytes) -> None:
        """Takes a datagram of DTLS or RTCP from one of `routes`."""
        if datagram[0] & 0xC0 == 0x80:
            self._feedback(datagram)
        elif 20 <= datagram[0] <= 63:
            self._dtls(lambda: self._handshake.receive(datagram))

    def begin(self, backlog: Iterable[Frame]) -> None:
        """Starts with frames from a key frame on, as fast as the network takes them, and shows the newest of them at
        once; later frames follow."""
        frames = list(backlog)
        for number, frame in enumerate(frames):
            self._append(frame, frames[-1].timestamp - (len(frames) - 1 - number) * CLOCK // 1000)
        self._needs_key = not frames
        self._send_backlog()

    def send(self, frame: Frame) -> None:
        """Sends the next frame, unless the viewer needs a key frame first."""
        if self._needs_key and not frame.key:
            return
        self._needs_key = False
        if self._backlog:
            self._append(frame, frame.timestamp)
        else:
            self._transmit(frame, frame.timestamp)

    def restart(self) -> None:
        """Waits for a key frame."""
        self._needs_key = True
        self._backlog.clear()
        self._backlog_bytes = 0

    def tick(self, timestamp: int, wall: float) -> None:
        """Once a second: reports that frames captured now have `timestamp`, and ends the session if its viewer is
        gone."""
        now = self._loop.time()
        self._repeated = 0
        if self._handshake.protection is None:
            if now - self._began > CONNECT_WITHIN:
                self.end("the viewer did not connect")
        elif now - self._heard_at > SILENT_AFTER:
            self.end("the viewer is silent")
        elif self._packets:
            stamp = timestamp + self._offset
            report = sender_report(self.ssrc, wall, stamp, self._packets, self._bytes, self.cname)
            self._send_raw(self._handshake.protection.protect_rtcp(report))

    def end(self, reason: str) -> None:
        """Says goodbye and ends. Idempotent."""
        if self._over:
            return
        self._over = True
        for timer in (self._timer, self._pacer):
            if timer is not None:
                timer.cancel()
        self._handshake.close()
        self._ended(self, reason)

    def _send_raw(self, datagram: bytes) -> None:
        if self._route is not None:
            self._port.send(self._route, [datagram])

    def _dtls(self, act: Callable[[], None]) -> None:
        was_connected = self._handshake.protection is not None
        try:
            act()
        except HandshakeError as error:
            self.end(str(error))
            return
        if self._handshake.closed:
            self.end("the viewer left")
        elif self._handshake.protection is not None and not was_connected:
            self._connected(self)
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._over and (left := self._handshake.timeout()) is not None:
            self._timer = self._loop.call_later(left + 0.001, self._dtls, self._handshake.repeat)

    def _feedback(self, datagram: bytes) -> None:
        protection = self._handshake.protection
        compound = None if protection is None else protection.unprotect_rtcp(datagram)
        if compound is None:
            return
        found = feedback(compound, self.ssrc)
        if found.needs_key:
            self._request_keyframe()
        for sequence in found.lost:
            self._repeat(sequence)

    def _repeat(self, sequence: int) -> None:
        """Sends a packet again, unless it is too old or too many are."""
        index = self._index - ((self._index - sequence) & 0xFFFF)
        for first, frame, timestamp in reversed(self._history):
            if first <= index:
                if index < first + len(frame.payloads) and self._repeated < _MOST_REPEATED and self._route is not None:
                    self._repeated += 1
                    self._port.send(self._route, [self._datagram(frame, timestamp, index - first, index)])
                return

    def _append(self, frame: Frame, timestamp: int) -> None:
        self._backlog.append((frame, timestamp))
        self._backlog_bytes += frame.size
        if self._backlog_bytes > _MOST_BACKLOG:
            self.restart()

    def _send_backlog(self) -> None:
        sent = 0
        self._pacer = None
        while self._backlog and sent < _PACED_BYTES:
            frame, timestamp = self._backlog.popleft()
            self._backlog_bytes -= frame.size
            sent += frame.size
            self._transmit(frame, timestamp)
        if self._backlog and not self._over:
            self._pacer = self._loop.call_later(_PACE, self._send_backlog)

    def _transmit(self, frame: Frame, timestamp: int) -> None:
        if self._route is None or not frame.payloads:
            return
        first = self._index
        datagrams = [self._datagram(frame, timestamp, part, first + part) for part in range(len(frame.payloads))]
        self._index += len(datagrams)
        if not self._port.send(self._route, datagrams):
            self.restart()
            self._request_keyframe()
            return
        self._history.append((first, frame, timestamp))
        self._packets += len(datagrams)
        self._bytes += frame.size

    def _datagram(self, frame: Frame, timestamp: int, part: int, index: int) -> bytes:
        assert self._handshake.protection is not None
        marker = 0x80 if part == len(frame.payloads) - 1 else 0
        stamp = timestamp + self._offset & 0xFFFFFFFF
        header = _HEADER.pack(0x80, marker | self.offer.payload_type, index & 0xFFFF, stamp, self.ssrc)
        return self._handshake.protection.protect(header, frame.payloads[part], index)


def now_stamp() -> int:
    """Returns the timestamp of a frame that is captured now, as `frame_of` would."""
    return round(time.monotonic() * CLOCK)
