"""The UDP port of all WebRTC sessions: answers leave from the address that was asked, several datagrams at a time."""

from __future__ import annotations

import errno
import logging
import socket
import struct
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sightd.daemon.serve.webrtc.stun import Address

log = logging.getLogger(__name__)

_IP_PKTINFO = 8
_IPV6_PKTINFO, _IPV6_RECVPKTINFO = 50, 49
_UDP_SEGMENT = 103
_MOST_SEGMENTS, _MOST_AT_ONCE = 60, 64_000
"""Datagrams and bytes that the kernel splits at a time (udp(7))."""
_MOST_WAITING = 4 << 20
"""Bytes that wait for the network."""
_BUFFER = 1 << 20
_LARGEST = 2048
_READ_AT_ONCE = 64
"""Datagrams received before other tasks of the loop get a turn."""
_WITHOUT_SEGMENTS = frozenset({errno.EIO, errno.EINVAL, errno.ENOPROTOOPT})

Ancillary = tuple[int, int, bytes]


@dataclass(frozen=True, slots=True)
class Route:
    """Where a peer is, and which of our addresses it knows. `peer` has an IPv4 address in its usual form."""

    peer: Address
    sockaddr: Any = field(compare=False)
    source: tuple[Ancillary, ...] = field(compare=False, default=())


class UdpPort:
    """A bound socket. Runs on the event loop's thread; `send` never blocks."""

    def __init__(self, host: str, port: int) -> None:
        """Binds the port; 0 picks one. Raises OSError."""
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE
        )[0]
        self._socket = socket.socket(family, kind, protocol)
        self._six = family == socket.AF_INET6
        try:
            self._prepare()
            self._socket.bind(address)
        except OSError:
            self._socket.close()
            raise
        self.port: int = self._socket.getsockname()[1]
        self._segments = True
        self._waiting: deque[tuple[Route, bytes]] = deque()
        self._waiting_bytes = 0
        self._loop: AbstractEventLoop | None = None

    def attach(self, loop: AbstractEventLoop, received: Callable[[bytes, Route], None]) -> None:
        """Calls `received` with each datagram and where it came from."""
        self._loop, self._received = loop, received
        loop.add_reader(self._socket, self._read)

    def close(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
        self._socket.close()

    def route(self, address: Address) -> Route:
        """Returns the way to an address from which nothing was received yet. Raises OSError if there is none."""
        family = socket.AF_INET6 if self._six else socket.AF_INET
        flags = socket.AI_NUMERICHOST | (socket.AI_V4MAPPED if self._six else 0)
        return Route(address, socket.getaddrinfo(*address, family, socket.SOCK_DGRAM, flags=flags)[0][4])

    def send(self, route: Route, datagrams: Sequence[bytes]) -> bool:
        """Sends datagrams to a peer, or lets them wait for the network. Returns False if too much waits already; then
        nothing is sent."""
        if self._waiting:
            return self._wait(route, datagrams)
        begin = 0
        while begin < len(datagrams):
            end = self._run(datagrams, begin)
            if not self._send_run(route, datagrams[begin:end]):
                return self._wait(route, datagrams[begin:])
            begin = end
        return True

    def _prepare(self) -> None:
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        if self._six:
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            self._socket.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
        else:
            self._socket.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)

    def _run(self, datagrams: Sequence[bytes], begin: int) -> int:
        """Returns the end of a run that the kernel can split: all of the same size, but for a shorter last one."""
        if not self._segments:
            return begin + 1
        size, end, total = len(datagrams[begin]), begin, 0
        while end < len(datagrams) and end - begin < _MOST_SEGMENTS:
            following = len(datagrams[end])
            if following > size or total + following > _MOST_AT_ONCE:
                break
            end, total = end + 1, total + following
            if following < size:
                break
        return end

    def _send_run(self, route: Route, run: Sequence[bytes]) -> bool:
        """Returns False if the socket's buffer is full. Datagrams that cannot be sent for another reason are lost, as
        on any network."""
        ancillary: list[Any] = list(route.source)
        if len(run) > 1:
            ancillary.append((socket.IPPROTO_UDP, _UDP_SEGMENT, struct.pack("=H", len(run[0]))))
        try:
            self._socket.sendmsg(run, ancillary, 0, route.sockaddr)
        except BlockingIOError:
            return False
        except OSError as error:
            if len(run) > 1 and error.errno in _WITHOUT_SEGMENTS:
                log.info("UDP datagrams are sent one by one: %s", error.strerror)
                self._segments = False
                return all(self._send_run(route, [one]) for one in run)
        return True

    def _wait(self, route: Route, datagrams: Sequence[bytes]) -> bool:
        size = sum(map(len, datagrams))
        if self._waiting_bytes + size > _MOST_WAITING:
            return False
        if not self._waiting and self._loop is not None:
            self._loop.add_writer(self._socket, self._write)
        self._waiting.extend((route, one) for one in datagrams)
        self._waiting_bytes += size
        return True

    def _write(self) -> None:
        while self._waiting:
            route, datagram = self._waiting[0]
            if not self._send_run(route, [datagram]):
                return
            self._waiting.popleft()
            self._waiting_bytes -= len(datagram)
        if self._loop is not None:
            self._loop.remove_writer(self._socket)

    def _read(self) -> None:
        for _ in range(_READ_AT_ONCE):
            try:
                datagram, ancillary, _flags, sockaddr = self._socket.recvmsg(_LARGEST, 128)
            except OSError:  # nothing more, or an ICMP error that belongs to no datagram of ours
                return
            host = sockaddr[0].removeprefix("::ffff:").partition("%")[0]
            self._received(datagram, Route((host, sockaddr[1]), sockaddr, self._source(ancillary)))

    def _source(self, ancillary: Sequence[Ancillary]) -> tuple[Ancillary, ...]:
        """Returns what makes an answer leave from the address that was asked, through whatever interface."""
        for level, kind, data in ancillary:
            if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
                return ((level, kind, struct.pack("=I", 0) + data[4:8] + bytes(4)),)
            if (level, kind) == (socket.IPPROTO_IPV6, _IPV6_PKTINFO):
                return ((level, kind, data),)
        return ()
