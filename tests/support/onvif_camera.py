"""A simulated ONVIF camera that pans, tilts and zooms. It checks every request against ONVIF's published schemas, and
the login against the specifications, independently of sightd's client."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from xml.sax.saxutils import escape

from lxml import etree

from tests.support.onvif_schema import faults

SOAP = "http://www.w3.org/2003/05/soap-envelope"
TT = "http://www.onvif.org/ver10/schema"
TDS = "http://www.onvif.org/ver10/device/wsdl"
TRT = "http://www.onvif.org/ver10/media/wsdl"
TR2 = "http://www.onvif.org/ver20/media/wsdl"
TPTZ = "http://www.onvif.org/ver20/ptz/wsdl"
TER = "http://www.onvif.org/ver10/error"
_SPACES = f'xmlns:tt="{TT}" xmlns:tds="{TDS}" xmlns:trt="{TRT}" xmlns:tr2="{TR2}" xmlns:tptz="{TPTZ}"'
_WSSE = "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd}"
_WSU = "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd}"
_GENERIC = "http://www.onvif.org/ver10/tptz"
MOST_SKEW = 60.0
"""Seconds by which a login's time may differ from the camera's."""


class FaultError(Exception):
    """The camera refuses: HTTP status, sub-code and text."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status, self.code = status, code


@dataclass
class View:
    """Where the camera looks: pan and tilt -1 to 1, zoom 0 to 1, moving at `speed` per second (full speed crosses the
    whole range of 2 in 4 s)."""

    clock: Callable[[], float] = time.monotonic
    position: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    speed: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    until: float = float("inf")
    at: float = field(init=False)

    def __post_init__(self) -> None:
        self.at = self.clock()

    def advance(self) -> None:
        now = self.clock()
        moved = max(0.0, min(now, self.until) - self.at)
        for axis, (low, high) in enumerate(((-1, 1), (-1, 1), (0, 1))):
            self.position[axis] = min(high, max(low, self.position[axis] + 0.5 * self.speed[axis] * moved))
        self.at = now
        if now >= self.until:
            self.speed, self.until = [0.0, 0.0, 0.0], float("inf")


class OnvifCamera:
    """Listens on 127.0.0.1; a context manager. `requests` are the names of those that it accepted, `wrong` what was
    invalid about any request or answer."""

    def __init__(
        self,
        *,
        username: str = "admin",
        password: str = "a Pässword, <&>",
        clock_offset: float = 0.0,
        media2: bool = True,
        old: bool = False,
        http_digest: bool = False,
        stream: str = "rtsp://127.0.0.1:554/cam0",
        stated_host: str | None = None,
        move_timeouts: bool = True,
        answers: dict[str, bytes] | None = None,
    ) -> None:
        """`old`: without GetServices; `http_digest`: asks for a login by HTTP and ignores WS-Security; `stated_host`:
        HOST:PORT in the addresses of its services; `answers`: bodies of HTTP answers by request, instead of its own."""
        self.username, self.password, self.clock_offset = username, password, clock_offset
        self.media2, self.old, self.http_digest, self.stream = media2, old, http_digest, stream
        self.move_timeouts = move_timeouts
        self.answers = answers or {}
        self.view = View()
        self.presets: dict[str, tuple[str, list[float]]] = {"1": ("Gate", [0.5, 0.0, 0.0])}
        self.home = [0.0, 0.0, 0.0]
        self.requests: list[str] = []
        self.wrong: list[str] = []
        self.stops = threading.Event()
        self._nonces: set[str] = set()
        self._lock = threading.Lock()
        self._http_nonce = os.urandom(8).hex()
        self.challenge = f'Digest realm="cam", qop="auth", nonce="{self._http_nonce}", algorithm=MD5'
        self.authorizations: list[str] = []
        camera = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                camera.answer(self)

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.stated_host = stated_host or f"127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/onvif/device_service"

    def __enter__(self) -> OnvifCamera:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def reset(self) -> None:
        """Returns the camera to how it was at first."""
        with self._lock:
            self.view = View()
            self.presets = {"1": ("Gate", [0.5, 0.0, 0.0])}
            self.home = [0.0, 0.0, 0.0]
            self.requests.clear()
            self.stops.clear()

    @property
    def moving(self) -> bool:
        with self._lock:
            self.view.advance()
            return any(self.view.speed)

    def answer(self, http: BaseHTTPRequestHandler) -> None:
        data = http.rfile.read(int(http.headers["Content-Length"]))
        with self._lock:
            if self.http_digest and not self._logged_in_by_http(http):
                _send(http, 401, b"", {"WWW-Authenticate": self.challenge})
                return
            try:
                status, answer = 200, self._answered(http, data)
            except FaultError as fault:
                status, answer = fault.status, _fault(fault)
            _send(http, status, answer)

    def _answered(self, http: BaseHTTPRequestHandler, data: bytes) -> bytes:
        if not http.headers["Content-Type"].startswith("application/soap+xml"):
            self.wrong.append(f"content type {http.headers['Content-Type']}")
        envelope = etree.fromstring(data)
        body = envelope.find(f"{{{SOAP}}}Body")
        assert body is not None
        request = body[0]
        self.wrong += faults(etree.tostring(request))
        action = etree.QName(request).localname
        if action != "GetSystemDateAndTime" and not self.http_digest:
            self._check_login(envelope)
        if action in self.answers:
            return self.answers[action]
        handler = getattr(self, f"_on_{_snake(action)}", None)
        if handler is None:
            raise FaultError(400, "ActionNotSupported", f"{action} is not implemented")
        self.requests.append(action)
        self.view.advance()
        space = etree.QName(request).namespace
        prefix = {TDS: "tds", TRT: "trt", TR2: "tr2", TPTZ: "tptz"}[str(space)]
        content = (
            f"<{prefix}:{action}Response {_SPACES}>{handler(request, prefix)}</{prefix}:{action}Response>".encode()
        )
        self.wrong += faults(content)
        return _envelope(content)

    def _check_login(self, envelope: etree._Element) -> None:
        """UsernameToken Profile 1.1: Base64(SHA-1(nonce + created + password)), and replay protection."""
        token = envelope.find(f"{{{SOAP}}}Header/{_WSSE}Security/{_WSSE}UsernameToken")
        if token is None:
            raise FaultError(400, "NotAuthorized", "Sender not Authorized")
        user, password, nonce = (token.findtext(f"{_WSSE}{name}") or "" for name in ("Username", "Password", "Nonce"))
        created = token.findtext(f"{_WSU}Created") or ""
        given = hashlib.sha1(base64.b64decode(nonce) + created.encode() + self.password.encode()).digest()
        right = hmac.compare_digest(base64.b64encode(given).decode(), password) and user == self.username
        skew = datetime.fromisoformat(created) - self.now()
        if nonce in self._nonces or abs(skew.total_seconds()) > MOST_SKEW or not right:
            raise FaultError(400, "NotAuthorized", "Sender not Authorized")
        self._nonces.add(nonce)

    def _logged_in_by_http(self, http: BaseHTTPRequestHandler) -> bool:
        """RFC 7616 with MD5 and qop=auth."""
        self.authorizations += http.headers.get_all("Authorization", [])
        fields = dict(re.findall(r'(\w+)="?([^",]*)"?', http.headers.get("Authorization", "")))
        if not fields:
            return False

        def md5(text: str) -> str:
            return hashlib.md5(text.encode()).hexdigest()

        first, second = md5(f"{self.username}:cam:{self.password}"), md5(f"POST:{fields['uri']}")
        middle = f"{self._http_nonce}:{fields['nc']}:{fields['cnonce']}:auth"
        return str(fields["response"]) == md5(f"{first}:{middle}:{second}")

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.clock_offset)

    def _xaddr(self, name: str) -> str:
        return f"http://{self.stated_host}/onvif/{name}"

    def _on_get_system_date_and_time(self, _request: etree._Element, _prefix: str) -> str:
        now = self.now()
        return (
            "<tds:SystemDateAndTime><tt:DateTimeType>NTP</tt:DateTimeType><tt:DaylightSavings>false</tt:DaylightSavings>"
            f"<tt:UTCDateTime><tt:Time><tt:Hour>{now.hour}</tt:Hour><tt:Minute>{now.minute}</tt:Minute>"
            f"<tt:Second>{now.second}</tt:Second></tt:Time><tt:Date><tt:Year>{now.year}</tt:Year>"
            f"<tt:Month>{now.month}</tt:Month><tt:Day>{now.day}</tt:Day></tt:Date></tt:UTCDateTime>"
            "</tds:SystemDateAndTime>"
        )

    def _on_get_services(self, _request: etree._Element, _prefix: str) -> str:
        if self.old:
            raise FaultError(400, "ActionNotSupported", "Optional Action Not Implemented")
        services = {TDS: "device_service", TRT: "media", TPTZ: "ptz"} | ({TR2: "media2"} if self.media2 else {})
        return "".join(
            f"<tds:Service><tds:Namespace>{space}</tds:Namespace><tds:XAddr>{self._xaddr(name)}</tds:XAddr>"
            "<tds:Version><tt:Major>2</tt:Major><tt:Minor>60</tt:Minor></tds:Version></tds:Service>"
            for space, name in services.items()
        )

    def _on_get_capabilities(self, _request: etree._Element, _prefix: str) -> str:
        media = (
            f"<tt:Media><tt:XAddr>{self._xaddr('media')}</tt:XAddr><tt:StreamingCapabilities>"
            "<tt:RTPMulticast>false</tt:RTPMulticast></tt:StreamingCapabilities></tt:Media>"
        )
        ptz = f"<tt:PTZ><tt:XAddr>{self._xaddr('ptz')}</tt:XAddr></tt:PTZ>"
        return f"<tds:Capabilities>{media}{ptz}</tds:Capabilities>"

    def _on_get_device_information(self, _request: etree._Element, _prefix: str) -> str:
        names = {"Manufacturer": "Example", "Model": "Dome 4", "FirmwareVersion": "1.2", "SerialNumber": "7",
                 "HardwareId": "D4"}  # fmt: skip
        return "".join(f"<tds:{name}>{value}</tds:{name}>" for name, value in names.items())

    def _on_get_profiles(self, _request: etree._Element, prefix: str) -> str:
        named = "<tt:Name>ptz</tt:Name><tt:UseCount>1</tt:UseCount><tt:NodeToken>node0</tt:NodeToken>"
        ptz = f'<{{0}} token="ptz0">{named}</{{0}}>'
        if prefix == "tr2":
            return "".join(
                f'<tr2:Profiles token="{token}" fixed="true"><tr2:Name>{token} stream</tr2:Name><tr2:Configurations>'
                f'<tr2:VideoEncoder token="v{token}"><tt:Name>v</tt:Name><tt:UseCount>1</tt:UseCount>'
                f"<tt:Encoding>{codec}</tt:Encoding><tt:Resolution><tt:Width>{width}</tt:Width>"
                f"<tt:Height>{height}</tt:Height></tt:Resolution><tt:RateControl>"
                "<tt:FrameRateLimit>25</tt:FrameRateLimit><tt:BitrateLimit>4096</tt:BitrateLimit></tt:RateControl>"
                f"<tt:Quality>3</tt:Quality></tr2:VideoEncoder>{ptz.format('tr2:PTZ') if token == 'main' else ''}"
                "</tr2:Configurations></tr2:Profiles>"
                for token, codec, width, height in (("sub", "H264", 640, 360), ("main", "H265", 2560, 1440))
            )
        return "".join(
            f'<trt:Profiles token="{token}" fixed="true"><tt:Name>{token} stream</tt:Name>'
            f'<tt:VideoEncoderConfiguration token="v{token}"><tt:Name>v</tt:Name><tt:UseCount>1</tt:UseCount>'
            f"<tt:Encoding>H264</tt:Encoding><tt:Resolution><tt:Width>{width}</tt:Width><tt:Height>{height}</tt:Height>"
            "</tt:Resolution><tt:Quality>3</tt:Quality><tt:RateControl><tt:FrameRateLimit>25</tt:FrameRateLimit>"
            "<tt:EncodingInterval>1</tt:EncodingInterval><tt:BitrateLimit>4096</tt:BitrateLimit></tt:RateControl>"
            "<tt:Multicast><tt:Address><tt:Type>IPv4</tt:Type></tt:Address><tt:Port>0</tt:Port><tt:TTL>0</tt:TTL>"
            "<tt:AutoStart>false</tt:AutoStart></tt:Multicast><tt:SessionTimeout>PT60S</tt:SessionTimeout>"
            f"</tt:VideoEncoderConfiguration>{ptz.format('tt:PTZConfiguration') if token == 'main' else ''}"
            "</trt:Profiles>"
            for token, width, height in (("sub", 640, 360), ("main", 1920, 1080))
        )

    def _on_get_stream_uri(self, request: etree._Element, prefix: str) -> str:
        return self._uri(f"{self.stream}?profile={request[-1].text}", prefix)

    def _on_get_snapshot_uri(self, request: etree._Element, prefix: str) -> str:
        return self._uri(f"http://{self.stated_host}/snap.jpg?profile={request[-1].text}", prefix)

    def _uri(self, address: str, prefix: str) -> str:
        if prefix == "tr2":
            return f"<tr2:Uri>{address}</tr2:Uri>"
        return (
            f"<trt:MediaUri><tt:Uri>{address}</tt:Uri><tt:InvalidAfterConnect>false</tt:InvalidAfterConnect>"
            "<tt:InvalidAfterReboot>false</tt:InvalidAfterReboot><tt:Timeout>PT0S</tt:Timeout></trt:MediaUri>"
        )

    def _on_get_node(self, _request: etree._Element, _prefix: str) -> str:
        def space(kind: str, axes: str) -> str:
            ranges = "".join(f"<tt:{axis}Range><tt:Min>-1</tt:Min><tt:Max>1</tt:Max></tt:{axis}Range>" for axis in axes)
            return f"<tt:{kind}><tt:URI>{_GENERIC}/{kind}</tt:URI>{ranges}</tt:{kind}>"

        return (
            '<tptz:PTZNode token="node0"><tt:Name>node</tt:Name><tt:SupportedPTZSpaces>'
            + space("AbsolutePanTiltPositionSpace", "XY")
            + space("AbsoluteZoomPositionSpace", "X")
            + space("RelativePanTiltTranslationSpace", "XY")
            + space("ContinuousPanTiltVelocitySpace", "XY")
            + space("ContinuousZoomVelocitySpace", "X")
            + "</tt:SupportedPTZSpaces><tt:MaximumNumberOfPresets>16</tt:MaximumNumberOfPresets>"
            "<tt:HomeSupported>true</tt:HomeSupported></tptz:PTZNode>"
        )

    def _on_get_status(self, _request: etree._Element, _prefix: str) -> str:
        pan, tilt, zoom = self.view.position
        state = "MOVING" if any(self.view.speed) else "IDLE"
        return (
            f'<tptz:PTZStatus><tt:Position><tt:PanTilt x="{pan}" y="{tilt}"/><tt:Zoom x="{zoom}"/></tt:Position>'
            f"<tt:MoveStatus><tt:PanTilt>{state}</tt:PanTilt><tt:Zoom>{state}</tt:Zoom></tt:MoveStatus>"
            f"<tt:UtcTime>{self.now():%Y-%m-%dT%H:%M:%SZ}</tt:UtcTime></tptz:PTZStatus>"
        )

    def _on_continuous_move(self, request: etree._Element, _prefix: str) -> str:
        timeout = request.findtext(f"{{{TPTZ}}}Timeout")
        if timeout is not None and not self.move_timeouts:
            raise FaultError(400, "InvalidArgVal", "Timeout is not supported")
        self.view.speed = _vector(request, [0.0, 0.0, 0.0])
        self.view.until = float("inf") if timeout is None else self.view.at + float(timeout[2:-1])
        return ""

    def _on_relative_move(self, request: etree._Element, _prefix: str) -> str:
        self._to([a + b for a, b in zip(self.view.position, _vector(request, [0.0] * 3), strict=True)])
        return ""

    def _on_absolute_move(self, request: etree._Element, _prefix: str) -> str:
        self._to(_vector(request, self.view.position))
        return ""

    def _on_stop(self, _request: etree._Element, _prefix: str) -> str:
        self.view.speed, self.view.until = [0.0, 0.0, 0.0], float("inf")
        self.stops.set()
        return ""

    def _on_get_presets(self, _request: etree._Element, _prefix: str) -> str:
        return "".join(
            f'<tptz:Preset token="{token}"><tt:Name>{escape(name)}</tt:Name></tptz:Preset>'
            for token, (name, _) in self.presets.items()
        )

    def _on_goto_preset(self, request: etree._Element, _prefix: str) -> str:
        self._to(self.presets[self._preset(request)][1])
        return ""

    def _on_set_preset(self, request: etree._Element, _prefix: str) -> str:
        name = request.findtext(f"{{{TPTZ}}}PresetName") or ""
        token = request.findtext(f"{{{TPTZ}}}PresetToken") or str(len(self.presets) + 1)
        self.presets[token] = (name, list(self.view.position))
        return f"<tptz:PresetToken>{token}</tptz:PresetToken>"

    def _on_remove_preset(self, request: etree._Element, _prefix: str) -> str:
        del self.presets[self._preset(request)]
        return ""

    def _on_goto_home_position(self, _request: etree._Element, _prefix: str) -> str:
        self._to(self.home)
        return ""

    def _on_set_home_position(self, _request: etree._Element, _prefix: str) -> str:
        self.home = list(self.view.position)
        return ""

    def _preset(self, request: etree._Element) -> str:
        token = request.findtext(f"{{{TPTZ}}}PresetToken") or ""
        if token not in self.presets:
            raise FaultError(400, "NoToken", "The requested preset token does not exist")
        return token

    def _to(self, position: list[float]) -> None:
        self.view.position, self.view.speed = list(position), [0.0, 0.0, 0.0]


def _vector(request: etree._Element, otherwise: list[float]) -> list[float]:
    pan_tilt, zoom = request.find(f".//{{{TT}}}PanTilt"), request.find(f".//{{{TT}}}Zoom")
    found = list(otherwise)
    if pan_tilt is not None:
        found[0], found[1] = float(pan_tilt.get("x", "")), float(pan_tilt.get("y", ""))
    if zoom is not None:
        found[2] = float(zoom.get("x", ""))
    return found


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _envelope(content: bytes) -> bytes:
    opening = f'<?xml version="1.0"?><env:Envelope xmlns:env="{SOAP}" xmlns:ter="{TER}"><env:Body>'
    return opening.encode() + content + b"</env:Body></env:Envelope>"


def _fault(fault: FaultError) -> bytes:
    code = f"<env:Subcode><env:Value>ter:{fault.code}</env:Value></env:Subcode>"
    text = f'<env:Reason><env:Text xml:lang="en">{fault}</env:Text></env:Reason>'
    sender = "<env:Value>env:Sender</env:Value>"
    return _envelope(f"<env:Fault><env:Code>{sender}{code}</env:Code>{text}</env:Fault>".encode())


def _send(http: BaseHTTPRequestHandler, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
    http.send_response(status)
    for name, value in {"Content-Type": "application/soap+xml", **(headers or {})}.items():
        http.send_header(name, value)
    http.send_header("Content-Length", str(len(data)))
    http._headers_buffer.append(b"\r\n" + data)  # type: ignore[attr-defined]  # in one packet, without a delay
    http.flush_headers()
