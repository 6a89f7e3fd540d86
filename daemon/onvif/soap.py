"""Sends SOAP requests to one camera: with WS-Security and HTTP digest, in the camera's time, and within budgets."""

from __future__ import annotations

import base64
import hashlib
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlsplit, urlunsplit

from sightd.daemon.capture.errors import Reason
from sightd.daemon.capture.web import WebClient, WebResponse
from sightd.daemon.common.redaction import MARK, redact
from sightd.daemon.config.onvif import service_address
from sightd.daemon.onvif.errors import OnvifError, onvif_error
from sightd.daemon.onvif.xml import Element, XmlError, parse, text, written

MOST_BYTES = 1 << 20
"""Maximum size of an answer; that of a camera with 16 profiles has 100 kB."""
SILENCE = 2.0
"""Seconds without a byte of an answer that has begun."""
_TYPE = "application/soap+xml; charset=utf-8"
_MOST_DETAIL = 160

_SOAP = "http://www.w3.org/2003/05/soap-envelope"
_WSS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss"
_DIGEST = f"{_WSS}-username-token-profile-1.0#PasswordDigest"
_BASE64 = f"{_WSS}-soap-message-security-1.0#Base64Binary"
NAMESPACES = {
    "tds": "http://www.onvif.org/ver10/device/wsdl",
    "trt": "http://www.onvif.org/ver10/media/wsdl",
    "tr2": "http://www.onvif.org/ver20/media/wsdl",
    "tptz": "http://www.onvif.org/ver20/ptz/wsdl",
    "tt": "http://www.onvif.org/ver10/schema",
}
"""By the prefix that requests use."""


class SoapClient:
    """Requests to one camera, one at a time. Credentials go to its own host only, as digests and never in clear text.

    An answer must begin within `timeout` s and end 1 s later, and may not pause for longer than `SILENCE`. Not
    thread-safe.
    """

    def __init__(
        self,
        address: str,
        username: str = "",
        password: str = "",
        *,
        timeout: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Raises ValueError if the address is none."""
        self.address = service_address(address)
        parts = urlsplit(self.address)
        self._netloc, self._host = parts.netloc, (parts.hostname or "").lower()
        self._username, self._password = username, password
        self._timeout, self._clock, self._wall = timeout, clock, wall
        login = f"{quote(username, safe='')}:{quote(password, safe='')}@" if username else ""
        with_login = parts._replace(netloc=login + parts.netloc).geturl()
        self._web = WebClient(with_login, timeout=SILENCE, opening=timeout, clock=clock, basic=False)
        self.offset = 0.0
        """Seconds by which the camera's clock is ahead of ours: cameras reject requests that are minutes old."""

    @property
    def host(self) -> str:
        return self._host

    def call(self, url: str, body: str, *, login: bool = True) -> Element:
        """Sends a request to the service at `url`, and returns the first element of the answer's body. Without `login`,
        no credentials are sent unless the camera asks for them by HTTP. Raises OnvifError."""
        data = self._envelope(body, login=login and bool(self._username))
        deadline = self._clock() + self._timeout
        try:
            response = self._web.post(url, data, _TYPE)
            answer = self._read(response, deadline)
        except OnvifError:
            self.close()
            raise
        except Exception as failure:  # noqa: BLE001 — whatever a socket raises
            self.close()
            raise onvif_error(failure) from None
        return self._result(response.status, answer)

    def own(self, url: str) -> str:
        """Returns an address that the camera stated, on the host that we know: behind NAT cameras state another one,
        and a forged one would get requests and digests of the password. Raises OnvifError if it is not http."""
        try:
            parts = urlsplit(url.strip())
            same = (parts.hostname or "").lower() == self._host and parts.port is not None
        except ValueError:
            raise OnvifError(Reason.REDIRECT, "to an invalid URL") from None
        if parts.scheme not in ("http", "https"):
            raise OnvifError(Reason.REDIRECT, "to an address that is not http")
        ours = urlsplit(self.address)
        netloc, scheme = (parts.netloc.rpartition("@")[2], parts.scheme) if same else (self._netloc, ours.scheme)
        if ours.scheme == "https" and scheme == "http":
            netloc, scheme = self._netloc, "https"
        return urlunsplit((scheme, netloc, parts.path or "/", parts.query, ""))

    def close(self) -> None:
        """Closes the connection; the next request opens another one."""
        self._web.close()

    def _read(self, response: WebResponse, deadline: float) -> bytes:
        data = bytearray()
        while piece := response.read():
            data += piece
            if len(data) > MOST_BYTES:
                raise OnvifError(Reason.TOO_LARGE, f"more than {MOST_BYTES >> 20} MiB")
            if self._clock() > deadline + 1.0:
                raise OnvifError(Reason.TIMEOUT)
        return bytes(data)

    def _envelope(self, body: str, *, login: bool) -> bytes:
        spaces = "".join(f' xmlns:{prefix}="{name}"' for prefix, name in NAMESPACES.items())
        header = written("s:Header", self._security()) if login else written("s:Header")
        return (
            f'<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="{_SOAP}"{spaces}>'
            f"{header}{written('s:Body', body)}</s:Envelope>"
        ).encode()

    def _security(self) -> str:
        """Returns a UsernameToken with a digest (WS-Security UsernameToken Profile 1.1), in the camera's time."""
        now = datetime.fromtimestamp(self._wall(), UTC) + timedelta(seconds=self.offset)
        created, nonce = now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03d}Z", os.urandom(16)
        digest = hashlib.sha1(nonce + created.encode() + self._password.encode(), usedforsecurity=False).digest()
        token = (
            text("wsse:Username", self._username)
            + f'<wsse:Password Type="{_DIGEST}">{base64.b64encode(digest).decode()}</wsse:Password>'
            + f'<wsse:Nonce EncodingType="{_BASE64}">{base64.b64encode(nonce).decode()}</wsse:Nonce>'
            + text("wsu:Created", created)
        )
        return (
            f'<wsse:Security s:mustUnderstand="true" xmlns:wsse="{_WSS}-wssecurity-secext-1.0.xsd" '
            f'xmlns:wsu="{_WSS}-wssecurity-utility-1.0.xsd">{written("wsse:UsernameToken", token)}</wsse:Security>'
        )

    def _result(self, status: int, data: bytes) -> Element:
        """Returns the answer's content. Raises OnvifError if it is a fault, or not SOAP."""
        if status == 401:
            raise OnvifError(Reason.UNAUTHORISED)
        if 300 <= status < 400:
            raise OnvifError(Reason.REDIRECT)
        try:
            body = parse(data).find("Body")
        except XmlError as error:
            raise OnvifError(*_not_soap(status, str(error))) from None
        content = next(iter(body.children), None) if body is not None else None
        if content is None:
            raise OnvifError(*_not_soap(status, "it has no SOAP body"))
        if content.name == "Fault":
            raise self._fault(content)
        if status != 200:
            raise OnvifError(*_not_soap(status, "not a fault"))
        return content

    def _fault(self, fault: Element) -> OnvifError:
        codes = {one.text.rpartition(":")[2].lower() for one in fault.walk() if one.name in ("Value", "faultcode")}
        said = fault.value("Reason/Text") or fault.value("faultstring")
        if codes & {"notauthorized", "failedauthentication"} or "not authorized" in said.lower():
            return OnvifError(Reason.UNAUTHORISED)
        kind = next(iter(sorted(codes - {"sender", "receiver"})), "")
        return OnvifError(Reason.OTHER, self._shown(": ".join(part for part in (kind, said) if part)))

    def _shown(self, said: str) -> str:
        """Returns a camera's text as it can be shown: short, printable, and without the password."""
        if len(self._password) > 3:
            said = said.replace(self._password, MARK)
        return printable(redact(said), _MOST_DETAIL)


def printable(said: str, most: int) -> str:
    """Returns a text of a stranger in one line, without control characters, and at most `most` characters long."""
    line = "".join(character if character.isprintable() else " " for character in said[: 4 * most])
    return " ".join(line.split())[:most]


def _not_soap(status: int, why: str) -> tuple[Reason, str]:
    reason = {401: Reason.UNAUTHORISED, 403: Reason.UNAUTHORISED, 404: Reason.NOT_FOUND}.get(status, Reason.NO_VIDEO)
    return reason, "" if reason is not Reason.NO_VIDEO else f"HTTP status {status}, {why}"
