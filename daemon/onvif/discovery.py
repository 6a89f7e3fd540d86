"""Finds cameras in the network by WS-Discovery: a multicast question, and the answers of a few seconds.

Any machine of the network can answer. An answer counts only if it refers to the question, and the address that it
states is used only on the host that sent it.
"""

from __future__ import annotations

import fcntl
import select
import socket
import struct
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit, urlunsplit

from sightd.daemon.onvif.soap import printable
from sightd.daemon.onvif.xml import Element, XmlError, parse, text, written

GROUP, PORT = "239.255.255.250", 3702
MOST_SECONDS = 10.0
MOST_DEVICES = 64
_MOST_PER_HOST = 8
"""Devices at one address: recorders answer for several cameras."""
_MOST_ANSWERS = 1024
_MOST_BYTES = 1 << 16
_REPEATED = 0.3
"""Seconds after which the question is sent once more: datagrams get lost."""
_MOST_NAME = 80
_TO_ALL = "urn:schemas-xmlsoap-org:ws:2005:04:discovery"
_SPACES = {
    "s": "http://www.w3.org/2003/05/soap-envelope",
    "a": "http://schemas.xmlsoap.org/ws/2004/08/addressing",
    "d": "http://schemas.xmlsoap.org/ws/2005/04/discovery",
    "dn": "http://www.onvif.org/ver10/network/wsdl",
    "tds": "http://www.onvif.org/ver10/device/wsdl",
}
_TYPES = ("dn:NetworkVideoTransmitter", "tds:Device")
"""Asked for one by one: a device answers only if it has all types of a question, and old ones have only the first."""
_SCOPE = "onvif://www.onvif.org/"
_SIOCGIFADDR, _SIOCGIFFLAGS = 0x8915, 0x8913
_UP, _LOOPBACK, _MULTICAST = 0x1, 0x8, 0x1000
"""Flags of interfaces (Linux, if.h)."""


class NoInterfaceError(Exception):
    """There is no interface to ask on; the message names those that exist."""


@dataclass(frozen=True, slots=True)
class FoundDevice:
    """A device that answered. `address` is that of its ONVIF service, on `host`; what it says about itself is cut and
    printable, and may be empty."""

    host: str
    address: str
    name: str
    hardware: str
    location: str


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface with its first IPv4 address. `usual`: it is up, no loopback, and knows multicast."""

    name: str
    address: str
    usual: bool


def interfaces() -> list[Interface]:
    """Returns this machine's interfaces that have an IPv4 address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        return [one for _, name in socket.if_nameindex() if (one := _interface(sock, name)) is not None]


def discover(
    seconds: float = 3.0,
    names: Sequence[str] = (),
    *,
    port: int = PORT,
    clock: Callable[[], float] = time.monotonic,
) -> list[FoundDevice]:
    """Asks on the named interfaces (by default on all usual ones) and collects answers for `seconds`, at most
    MOST_SECONDS. Returns at most MOST_DEVICES, in the order of their hosts. Raises NoInterfaceError, or OSError if no
    interface can send."""
    until = clock() + min(seconds, MOST_SECONDS)
    found: dict[str, FoundDevice] = {}
    with ExitStack() as stack:
        sockets = [stack.enter_context(_socket(one)) for one in _chosen(names)]
        asked = _asked(sockets, port)
        again = clock() + _REPEATED
        for _ in range(_MOST_ANSWERS):
            now = clock()
            if now >= until or len(found) >= MOST_DEVICES:
                break
            if now >= again:
                asked += _asked(sockets, port)
                again = until
            ready, _, _ = select.select(sockets, [], [], max(0.0, min(until, again) - now))
            for sock in ready:
                for device in _received(sock, asked):
                    if sum(one.host == device.host for one in found.values()) < _MOST_PER_HOST:
                        found.setdefault(device.address, device)
    return sorted(found.values(), key=lambda one: socket.inet_aton(one.host))


def answered(data: bytes, host: str, asked: Sequence[str]) -> Iterator[FoundDevice]:
    """Yields the devices in a datagram from `host` that answers one of the questions with these ids; none if it is
    anything else."""
    try:
        root = parse(data)
    except XmlError:
        return
    if root.value("Header/RelatesTo") not in asked:
        return
    for match in root.all("Body/ProbeMatches/ProbeMatch")[:1]:  # a device answers for itself
        address = _address(match, host)
        if address is not None:
            scopes = match.value("Scopes").split()
            name, hardware, place = (_scope(scopes, kind) for kind in ("name", "hardware", "location"))
            yield FoundDevice(host, address, name, hardware, place)


def _address(match: Element, host: str) -> str | None:
    """Returns the address of the device's service: of those that it states, the one on the host that answered; if there
    is none, as behind NAT, the first one's path on that host."""
    stated = []
    for url in match.value("XAddrs").split()[:16]:
        with suppress(ValueError):
            parts = urlsplit(url)
            if parts.scheme in ("http", "https") and parts.hostname and url.isascii() and url.isprintable():
                port = f":{parts.port}" if parts.port else ""
                stated.append((parts.hostname, urlunsplit((parts.scheme, host + port, parts.path, "", ""))))
    own = next((url for name, url in stated if name == host), None)
    return own or next((url for _, url in stated), None)


def _scope(scopes: Sequence[str], kind: str) -> str:
    """Returns what the device says in a scope such as onvif://www.onvif.org/name/Front%20door."""
    start = f"{_SCOPE}{kind}/"
    found = next((scope[len(start) :] for scope in scopes if scope.lower().startswith(start)), "")
    return printable(unquote(found, errors="replace").replace("_", " "), _MOST_NAME)


def _received(sock: socket.socket, asked: Sequence[str]) -> list[FoundDevice]:
    try:
        data, (host, _) = sock.recvfrom(_MOST_BYTES)
    except OSError:  # an ICMP error of an earlier datagram
        return []
    return list(answered(data, host, asked))


def _asked(sockets: Sequence[socket.socket], port: int) -> list[str]:
    """Sends a question for each type on all sockets; returns their ids. Raises OSError if none can send."""
    questions = {f"urn:uuid:{uuid.uuid4()}": kind for kind in _TYPES}
    failed = []
    for sock in sockets:
        try:
            for number, kind in questions.items():
                sock.sendto(_question(number, kind), (GROUP, port))
        except OSError as error:
            failed.append(error)
    if len(failed) == len(sockets):
        raise failed[0]
    return list(questions)


def _question(number: str, kind: str) -> bytes:
    spaces = "".join(f' xmlns:{prefix}="{name}"' for prefix, name in _SPACES.items())
    header = text("a:MessageID", number) + text("a:To", _TO_ALL) + text("a:Action", f"{_SPACES['d']}/Probe")
    probe = written("d:Probe", text("d:Types", kind))
    return (
        f'<?xml version="1.0" encoding="utf-8"?><s:Envelope{spaces}>'
        f"{written('s:Header', header)}{written('s:Body', probe)}</s:Envelope>"
    ).encode()


def _chosen(names: Sequence[str]) -> list[Interface]:
    known = interfaces()
    chosen = [one for one in known if (one.name in names if names else one.usual)]
    missing = set(names) - {one.name for one in chosen}
    if missing or not chosen:
        exist = ", ".join(one.name for one in known) or "none"
        which = (
            f"no interface {min(missing)!r} with an IPv4 address" if missing else "no interface that knows multicast"
        )
        raise NoInterfaceError(f"there is {which}; there are: {exist}")
    return chosen


def _socket(interface: Interface) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(interface.address))
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
        sock.bind((interface.address, 0))
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _interface(sock: socket.socket, name: str) -> Interface | None:
    request = struct.pack("256s", name.encode()[:15])
    try:
        address = socket.inet_ntoa(fcntl.ioctl(sock, _SIOCGIFADDR, request)[20:24])
        (flags,) = struct.unpack("H", fcntl.ioctl(sock, _SIOCGIFFLAGS, request)[16:18])
    except OSError:  # it has no IPv4 address
        return None
    return Interface(name, address, bool(flags & _UP and flags & _MULTICAST and not flags & _LOOPBACK))
