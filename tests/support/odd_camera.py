"""A small in-process RTSP camera that can behave unusually: in its login, description, redirects and RTP packets."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType

from tests.support.clips import LiveEncoder, Scene
from tests.support.fault_proxy import message_length

FPS = 25
_CLOCK = 90000
_PAYLOAD = 1200
_TYPE = 96
_HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}
VIDEO = ("m=video 0 RTP/AVP 96", "a=rtpmap:96 H264/90000", "a=fmtp:96 packetization-mode=1", "a=control:video")
AUDIO = ("m=audio 0 RTP/AVP 97", "a=rtpmap:97 MPEG4-GENERIC/44100", "a=control:audio")

Packets = list[bytes]
Deliver = Callable[[int, Packets], Packets]
"""Changes the RTP packets of frame number n before they are sent."""


@dataclass(frozen=True, slots=True)
class Request:
    """A client's request; header names are in lower case."""

    method: str
    uri: str
    headers: dict[str, str] = field(hash=False)


class OddCamera:
    """Serves rtsp://127.0.0.1:`port`/…, 320x180 at 25 fps, bar-coded, with a key frame every second; a context manager.

    `algorithms`: the login methods it offers, in this order ("MD5", "SHA-256" for digest, or "Basic"); none means no
    login. `sizes`: frame sizes that it cycles through, `size_every` frames each. `first`: the first RTP sequence number
    and timestamp. `base`: its Content-Base. `teardown_after`: the frame after which it sends a TEARDOWN and closes.
    `channels`: the interleaved channels that it chooses. `qop`: what it offers and then requires. `stale`: it calls the
    first correct response stale and sends a new nonce. `redirect`: where DESCRIBE redirects to, unless the path is
    /here. `media`: lines of the description. With a `certificate` it serves rtsps. `deliver` changes its packets,
    `status` replaces the response to DESCRIBE, and after frame `flood_after` it sends a response of up to 1 GiB.
    `challenge`: a method that is answered with 401, and the content of its WWW-Authenticate header.
    """

    def __init__(
        self,
        *,
        algorithms: Sequence[str] = (),
        user: str = "viewer",
        password: str = "secret",
        redirect: str | None = None,
        media: Sequence[str] = VIDEO,
        deliver: Deliver = lambda number, packets: packets,
        status: str | None = None,
        host: str = "127.0.0.1",
        certificate: Mapping[str, str] | None = None,
        flood_after: int | None = None,
        challenge: tuple[str, str] | None = None,
        qop: str | None = None,
        stale: bool = False,
        sizes: Sequence[tuple[int, int]] = ((320, 180),),
        size_every: int = 1 << 30,
        first: tuple[int, int] = (1, 0),
        base: str | None = None,
        teardown_after: int | None = None,
        channels: tuple[int, int] = (0, 1),
    ) -> None:
        self.sizes, self.size_every, self.first, self.base = sizes, size_every, first, base
        self.teardown_after, self.channels = teardown_after, channels
        self.qop, self.stale = qop, stale
        self._algorithms, self._user, self._password = algorithms, user, password
        self._redirect, self._media, self._deliver, self._status = redirect, media, deliver, status
        self.requests: list[Request] = []
        self._host, self._flood_after, self._challenge = host, flood_after, challenge
        self._tls: ssl.SSLContext | None = None
        if certificate is not None:
            self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._tls.load_cert_chain(certificate["certificate"], certificate["key"])
        self._listening = socket.create_server((host, 0))
        self.port: int = self._listening.getsockname()[1]
        self._clients: list[_Client] = []

    def address(self, path: str = "cam", *, credentials: str = "") -> str:
        scheme = "rtsp" if self._tls is None else "rtsps"
        return f"{scheme}://{credentials}{self._host}:{self.port}/{path}"

    def asked(self, method: str) -> list[Request]:
        return [request for request in list(self.requests) if request.method == method]

    def __enter__(self) -> OddCamera:
        threading.Thread(target=self._accept, name="odd-camera", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for client in self._clients:
            client.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                if self._tls is not None:
                    connection = self._tls.wrap_socket(connection, server_side=True)
                client = _Client(self, connection)
                self._clients.append(client)
                threading.Thread(target=client.serve, name="odd-camera", daemon=True).start()


class _Client:
    """One client connection."""

    def __init__(self, camera: OddCamera, connection: socket.socket) -> None:
        self._camera, self._connection = camera, connection
        self._sending = threading.Lock()
        self._udp: tuple[socket.socket, tuple[str, int]] | None = None
        self._closed = threading.Event()
        self._nonce = hashlib.md5(str(id(connection)).encode()).hexdigest()
        self._was_stale = not camera.stale
        self._is_stale = False

    def close(self) -> None:
        self._closed.set()
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()
        if self._udp is not None:
            self._udp[0].close()

    def serve(self) -> None:
        data = b""
        with suppress(OSError):
            while received := self._connection.recv(4096):
                data += received
                while (length := message_length(data)) and length <= len(data):
                    message, data = data[:length], data[length:]
                    if message[:1] != b"$":
                        self._answer(message)
        self.close()

    def _answer(self, message: bytes) -> None:
        head, *lines = message.decode().split("\r\n")
        method, uri, _ = head.split(" ", 2)
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        camera = self._camera
        camera.requests.append(Request(method, uri, headers))
        answer = _answers.get(method)
        status, more, body = ("405 Method Not Allowed", [], "") if answer is None else answer(self, uri, headers)
        if camera._algorithms and method != "OPTIONS" and not self._admits(method, headers.get("authorization", "")):
            status, more, body = "401 Unauthorized", [f"WWW-Authenticate: {one}" for one in self._challenges()], ""
        if camera._challenge is not None and method == camera._challenge[0]:
            status, more, body = "401 Unauthorized", [f"WWW-Authenticate: {camera._challenge[1]}"], ""
        if body:
            more = [*more, "Content-Type: application/sdp", f"Content-Length: {len(body)}"]
        self._send(
            "\r\n".join([f"RTSP/1.0 {status}", f"CSeq: {headers.get('cseq', '0')}", *more, "", ""]).encode()
            + body.encode()
        )
        if method == "PLAY" and status.startswith("200"):
            threading.Thread(target=self._play, name="odd-camera", daemon=True).start()

    def options(self, uri: str, headers: dict[str, str]) -> tuple[str, list[str], str]:
        return "200 OK", ["Public: OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN"], ""

    def describe(self, uri: str, headers: dict[str, str]) -> tuple[str, list[str], str]:
        camera = self._camera
        if camera._status is not None:
            return camera._status, [], ""
        if camera._redirect is not None and not uri.endswith("/here"):
            return "302 Moved Temporarily", [f"Location: {camera._redirect}"], ""
        lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=odd", "t=0 0", *camera._media]
        return "200 OK", [f"Content-Base: {camera.base or uri + '/'}"], "\r\n".join(lines) + "\r\n"

    def setup(self, uri: str, headers: dict[str, str]) -> tuple[str, list[str], str]:
        transport = headers.get("transport", "")
        if found := re.search(r"client_port=(\d+)", transport):
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sender.bind(("127.0.0.1", 0))
            self._udp = sender, ("127.0.0.1", int(found[1]))
            port = sender.getsockname()[1]
            transport = f"RTP/AVP;unicast;client_port={found[1]}-{int(found[1]) + 1};server_port={port}-{port + 1}"
        else:
            transport = "RTP/AVP/TCP;unicast;interleaved={}-{}".format(*self._camera.channels)
        return "200 OK", [f"Transport: {transport}", "Session: 12345678;timeout=60"], ""

    def ok(self, uri: str, headers: dict[str, str]) -> tuple[str, list[str], str]:
        return "200 OK", ["Session: 12345678"], ""

    def _challenges(self) -> list[str]:
        more = f', qop="{self._camera.qop}", userhash=true' if self._camera.qop else ""
        more += ", stale=true" if self._is_stale else ""
        return [
            'Basic realm="odd"'
            if algorithm == "Basic"
            else f'Digest realm="odd", nonce="{self._nonce}", algorithm="{algorithm}"{more}'
            for algorithm in self._camera._algorithms
        ]

    def _admits(self, method: str, authorization: str) -> bool:
        scheme, _, rest = authorization.partition(" ")
        user, password = self._camera._user, self._camera._password
        self._is_stale = False
        if scheme == "Basic":
            return "Basic" in self._camera._algorithms and base64.b64decode(rest).decode() == f"{user}:{password}"
        given = dict(re.findall(r'(\w+)="?([^",]*)"?', rest))
        algorithm, qop = given.get("algorithm", "MD5"), given.get("qop")
        if scheme != "Digest" or algorithm not in self._camera._algorithms or given.get("nonce") != self._nonce:
            return False
        if qop not in (self._camera.qop or "").split(", ") and (qop or self._camera.qop):
            return False

        def hashed(*parts: str) -> str:
            return _HASHES[algorithm](":".join(parts).encode()).hexdigest()

        asked = hashed(method, given.get("uri", ""), *([hashed("")] if qop == "auth-int" else []))
        counted = [given.get("nc", ""), given.get("cnonce", ""), qop] if qop else []
        right = given.get("response") == hashed(hashed(user, "odd", password), self._nonce, *counted, asked)
        if right and not self._was_stale:
            self._was_stale = self._is_stale = True
            self._nonce = self._nonce[::-1]
            return False
        return right

    def _send(self, data: bytes) -> None:
        with self._sending:
            self._connection.sendall(data)

    def _flood(self) -> None:
        with suppress(OSError):
            self._send(b"RTSP/1.0 200 OK\r\nCSeq: 9\r\nContent-Length: 2000000000\r\n\r\n")
            for _ in range(1 << 10):
                self._send(bytes(1 << 20))

    def _play(self) -> None:
        camera = self._camera
        sequence, start = camera.first
        with suppress(OSError):
            for number in itertools.count():
                if number % camera.size_every == 0:
                    size = camera.sizes[number // camera.size_every % len(camera.sizes)]
                    scene, encoder = Scene(*size), LiveEncoder(*size, FPS)
                (unit,) = encoder.encode(scene.frame(number), number, key=number % FPS == 0)
                packets = rtp_packets(bytes(unit), sequence, start + number * _CLOCK // FPS & 0xFFFFFFFF)
                sequence += len(packets)
                for packet in camera._deliver(number, packets):
                    if self._udp is not None:
                        self._udp[0].sendto(packet, self._udp[1])
                    else:
                        self._send(struct.pack(">cBH", b"$", camera.channels[0], len(packet)) + packet)
                if number == camera._flood_after:
                    threading.Thread(target=self._flood, name="odd-camera", daemon=True).start()
                if number == camera.teardown_after:
                    self._send(b"TEARDOWN * RTSP/1.0\r\nCSeq: 1\r\nSession: 12345678\r\n\r\n")
                    self.close()
                if self._closed.wait(1 / FPS):
                    return


_answers: dict[str, Callable[[_Client, str, dict[str, str]], tuple[str, list[str], str]]] = {
    "OPTIONS": _Client.options,
    "DESCRIBE": _Client.describe,
    "SETUP": _Client.setup,
    "PLAY": _Client.ok,
    "GET_PARAMETER": _Client.ok,
    "TEARDOWN": _Client.ok,
}


def rtp_packets(unit: bytes, sequence: int, timestamp: int) -> Packets:
    """Returns the RTP packets (RFC 6184) of an H.264 access unit in Annex B format; the last one has the marker bit."""
    payloads: list[bytes] = []
    for nal in (part.rstrip(b"\0") for part in unit.split(b"\0\0\1") if part.strip(b"\0")):
        if len(nal) <= _PAYLOAD:
            payloads.append(nal)
            continue
        pieces = [nal[at : at + _PAYLOAD] for at in range(1, len(nal), _PAYLOAD)]
        for index, piece in enumerate(pieces):
            start_end = 0x80 * (index == 0) | 0x40 * (index == len(pieces) - 1)
            payloads.append(bytes([nal[0] & 0xE0 | 28, nal[0] & 0x1F | start_end]) + piece)
    last = len(payloads) - 1
    return [
        struct.pack(">BBHII", 0x80, _TYPE | 0x80 * (index == last), (sequence + index) & 0xFFFF, timestamp, 7) + payload
        for index, payload in enumerate(payloads)
    ]
