"""Machines that answer WS-Discovery on the loopback: a well-behaved camera, and others."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable
from types import TracebackType

from lxml import etree

from sightd.daemon.onvif.discovery import GROUP

SOAP = "http://www.w3.org/2003/05/soap-envelope"
WSA = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
WSD = "http://schemas.xmlsoap.org/ws/2005/04/discovery"
DN = "http://www.onvif.org/ver10/network/wsdl"
TDS = "http://www.onvif.org/ver10/device/wsdl"


def matches(relates_to: str, xaddrs: str, scopes: str = "") -> bytes:
    """Returns a ProbeMatches message as ONVIF's core specification shows it."""
    return (
        f'<?xml version="1.0"?><s:Envelope xmlns:s="{SOAP}" xmlns:a="{WSA}" xmlns:d="{WSD}" xmlns:dn="{DN}"><s:Header>'
        f"<a:MessageID>urn:uuid:1</a:MessageID><a:RelatesTo>{relates_to}</a:RelatesTo>"
        f"<a:To>{WSA}/role/anonymous</a:To><a:Action>{WSD}/ProbeMatches</a:Action></s:Header><s:Body><d:ProbeMatches>"
        "<d:ProbeMatch><a:EndpointReference><a:Address>urn:uuid:2</a:Address></a:EndpointReference>"
        f"<d:Types>dn:NetworkVideoTransmitter</d:Types><d:Scopes>{scopes}</d:Scopes><d:XAddrs>{xaddrs}</d:XAddrs>"
        "<d:MetadataVersion>1</d:MetadataVersion></d:ProbeMatch></d:ProbeMatches></s:Body></s:Envelope>"
    ).encode()


Answer = Callable[[str], Iterable[bytes]]
"""Returns the datagrams that answer a question with that id."""


class Responder:
    """Listens to the multicast group on the loopback, at a port of its own; a context manager. `questions` has the
    types that were asked for."""

    def __init__(self, answer: Answer, types: Iterable[str] = (f"{{{DN}}}NetworkVideoTransmitter",)) -> None:
        """`types`: those of the device, in Clark's notation; it answers only questions for them."""
        self._answer, self._types = answer, set(types)
        self.questions: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((GROUP, 0))
        membership = socket.inet_aton(GROUP) + socket.inet_aton("127.0.0.1")
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        self.port: int = self._socket.getsockname()[1]
        self._socket.settimeout(0.05)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Responder:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._thread.join(5)
        self._socket.close()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                data, sender = self._socket.recvfrom(65536)
            except TimeoutError:
                continue
            asked = self._asked(data)
            for datagram in self._answer(asked) if asked is not None else ():
                self._socket.sendto(datagram, sender)

    def _asked(self, data: bytes) -> str | None:
        """Returns the id of a valid question for one of our types."""
        root = etree.fromstring(data)
        action, to = (root.findtext(f"{{{SOAP}}}Header/{{{WSA}}}{name}") for name in ("Action", "To"))
        types = root.find(f"{{{SOAP}}}Body/{{{WSD}}}Probe/{{{WSD}}}Types")
        assert types is not None
        assert types.text is not None
        assert (action, to) == (f"{WSD}/Probe", "urn:schemas-xmlsoap-org:ws:2005:04:discovery")
        names = set()
        for word in types.text.split():
            prefix, _, name = word.partition(":")
            names.add(f"{{{types.nsmap[prefix]}}}{name}")
        self.questions += names
        return root.findtext(f"{{{SOAP}}}Header/{{{WSA}}}MessageID") if names <= self._types else None
