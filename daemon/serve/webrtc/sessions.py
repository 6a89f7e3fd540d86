"""All WebRTC sessions of the daemon, on one event loop and one UDP port."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from sightd.daemon.config.webrtc import WebRtc
from sightd.daemon.serve.live_video import LiveVideo
from sightd.daemon.serve.webrtc import sdp, stun
from sightd.daemon.serve.webrtc.dtls import Identity
from sightd.daemon.serve.webrtc.session import Session, now_stamp
from sightd.daemon.serve.webrtc.stream import WebRtcStream
from sightd.daemon.serve.webrtc.stun import Address
from sightd.daemon.serve.webrtc.udp import Route, UdpPort

log = logging.getLogger(__name__)

_TICK = 1.0
_CHECKED_AT = (0.0, 0.2, 0.5, 1.0, 2.0, 4.0)
"""Seconds after an offer at which a viewer beyond a router is checked, so that the router lets it through."""
_MOST_CHECKED = 8
_STUN_PATIENCE = 1.0
_MAPPED_FOR = 20.0
"""Seconds for which a router keeps an unused port open, at least."""


class FullError(Exception):
    """No viewer more is admitted."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A new session: its unguessable id, the answer (SDP), and the wall-clock time of the RTP timestamp 0."""

    id: str
    answer: str
    epoch: float


class Sessions:
    """Runs on one event loop; `start` comes first, `close` last."""

    def __init__(self, options: WebRtc, host: str, loop: asyncio.AbstractEventLoop) -> None:
        """Binds the UDP port. Raises OSError."""
        self._options, self._host, self._loop = options, host, loop
        self._identity = Identity()
        self._port = UdpPort(host, options.port)
        self._sessions: dict[str, Session] = {}
        self._by_name: dict[str, Session] = {}
        self._by_peer: dict[Address, Session] = {}
        self._streams: dict[LiveVideo, WebRtcStream] = {}
        self._watched: dict[str, WebRtcStream] = {}
        self._ticking: asyncio.TimerHandle | None = None
        self._asked: dict[bytes, asyncio.Future[Address]] = {}
        self._mapped: tuple[float, Address] | None = None

    def start(self) -> None:
        self._port.attach(self._loop, self._received)

    async def open(self, video: LiveVideo, text: str, reached: str | None) -> Opened:
        """Answers an offer. `reached` is the address of this machine that the viewer's request was sent to. Raises
        OfferError and FullError."""
        offer = sdp.parse(text)
        if len(self._sessions) >= self._options.max_viewers:
            raise FullError
        session = Session(
            offer, self._port, self._identity, self._loop, video.request_keyframe, self._connected, self._ended
        )
        self._sessions[session.id] = self._by_name[session.ufrag] = session
        self._watched[session.id] = self._stream(video)
        self._tick_on()
        reflexive = await self._reflexive(session)
        ours = sdp.Ours(
            session.ufrag,
            session.password,
            self._identity.fingerprint,
            [*self._candidates(reached), *reflexive],
            session.ssrc,
            session.cname,
            video.view,
        )
        return Opened(session.id, sdp.answer(offer, ours), session.epoch)

    def end(self, number: str) -> bool:
        """Ends a session. Returns False if there is none with this id."""
        session = self._sessions.get(number)
        if session is not None:
            session.end("its viewer ended it")
        return session is not None

    def close(self) -> None:
        """Ends all sessions and closes the port."""
        for session in list(self._sessions.values()):
            session.end("the daemon stops")
        if self._ticking is not None:
            self._ticking.cancel()
        self._port.close()

    def _stream(self, video: LiveVideo) -> WebRtcStream:
        if video not in self._streams:
            self._streams[video] = WebRtcStream(video, self._loop, self._stream_over)
        return self._streams[video]

    def _connected(self, session: Session) -> None:
        self._watched[session.id].join(session)

    def _ended(self, session: Session, reason: str) -> None:
        log.debug("a WebRTC session ended: %s", reason)
        del self._sessions[session.id], self._by_name[session.ufrag]
        for route in session.routes:
            if self._by_peer.get(route.peer) is session:
                del self._by_peer[route.peer]
        stream = self._watched.pop(session.id)
        stream.leave(session)
        if stream not in self._watched.values():
            self._streams.pop(stream.video, None)

    def _stream_over(self, stream: WebRtcStream) -> None:
        for number, watched in list(self._watched.items()):
            if watched is stream:
                self._sessions[number].end("the video ended")

    def _received(self, datagram: bytes, route: Route) -> None:
        if not datagram:
            return
        try:
            if datagram[0] < 4:
                self._checked(datagram, route)
            elif (session := self._by_peer.get(route.peer)) is not None:
                session.received(datagram)
        except Exception:  # the loop serves all sessions: whatever one viewer sends must not end it
            log.exception("a WebRTC datagram could not be handled")

    def _checked(self, datagram: bytes, route: Route) -> None:
        message = stun.parse(datagram)
        if message is None:
            return
        if not message.is_request:
            waiting = self._asked.get(message.transaction)
            if waiting is not None and not waiting.done() and message.mapped is not None:
                waiting.set_result(message.mapped)
            return
        session = self._by_name.get(message.username.partition(":")[0])
        if session is not None and stun.is_authentic(datagram, message, session.password):
            self._by_peer[route.peer] = session
            session.checked(message, route)

    def _tick_on(self) -> None:
        if self._ticking is None:
            self._ticking = self._loop.call_later(_TICK, self._tick)

    def _tick(self) -> None:
        self._ticking = None
        stamp, wall = now_stamp(), time.time()
        for session in list(self._sessions.values()):
            session.tick(stamp, wall)
        if self._sessions:
            self._tick_on()

    def _candidates(self, reached: str | None) -> Iterator[sdp.Candidate]:
        """Yields the addresses at which viewers reach the port, the most likely first."""
        addresses = self._options.addresses or self._own_addresses(reached)
        for address in dict.fromkeys(addresses):
            yield sdp.Candidate((address, self._port.port))

    def _own_addresses(self, reached: str | None) -> Iterator[str]:
        bound = ipaddress.ip_address(socket.getaddrinfo(self._host, 0, type=socket.SOCK_DGRAM)[0][4][0])
        if not bound.is_unspecified:
            yield str(bound)
            return
        if reached is not None:
            yield reached.removeprefix("::ffff:").partition("%")[0]
        yield from _outward(socket.AF_INET, "192.0.2.1")
        if bound.version == 6:
            yield from _outward(socket.AF_INET6, "2001:db8::1")

    async def _reflexive(self, session: Session) -> Sequence[sdp.Candidate]:
        """Returns the address that a router gives to our port, if a STUN server is configured, and lets the viewer in
        through that router."""
        if self._options.stun is None:
            return []
        for delay in _CHECKED_AT:
            self._loop.call_later(delay, self._check, session)
        try:
            address = await self._mapped_address(self._options.stun)
        except (OSError, TimeoutError) as error:
            log.warning("the STUN server %s does not answer (%s)", self._options.stun, type(error).__name__)
            return []
        return [sdp.Candidate(address, reflexive=True)]

    def _check(self, session: Session) -> None:
        if session.id not in self._sessions or session.routes:
            return
        request = stun.request(f"{session.offer.ufrag}:{session.ufrag}", session.offer.password)
        for address in session.offer.candidates[:_MOST_CHECKED]:
            with suppress(OSError):
                self._port.send(self._port.route(address), [request])

    async def _mapped_address(self, server: str) -> Address:
        if self._mapped is not None and self._loop.time() - self._mapped[0] < _MAPPED_FOR:
            return self._mapped[1]
        host, _, port = server.rpartition(":")
        found = await self._loop.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)
        transaction = os.urandom(12)
        waiting: asyncio.Future[Address] = self._loop.create_future()
        self._asked[transaction] = waiting
        try:
            self._port.send(self._port.route((str(found[0][4][0]), int(port))), [stun.plain_request(transaction)])
            address = await asyncio.wait_for(waiting, _STUN_PATIENCE)
        finally:
            del self._asked[transaction]
        self._mapped = self._loop.time(), address
        return address


def _outward(family: socket.AddressFamily, somewhere: str) -> Iterator[str]:
    """Yields the address from which this machine would send to a distant one; nothing is sent."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe, suppress(OSError):
        probe.connect((somewhere, 9))
        yield str(probe.getsockname()[0])
