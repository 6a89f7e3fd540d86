"""What a camera may answer, however hostile, costs bounded time and memory, and ends in an error that helps."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator

import pytest

from sightd.daemon.capture.errors import Reason
from sightd.daemon.onvif.device import OnvifDevice
from sightd.daemon.onvif.errors import OnvifError
from sightd.daemon.onvif.soap import MOST_BYTES, SoapClient
from tests.support.waiting import BUSY
from tests.support.web_camera import Request, answer, endless, web_camera

pytestmark = pytest.mark.waiting

SOAP = "http://www.w3.org/2003/05/soap-envelope"
XML = "application/soap+xml"


def envelope(body: str) -> bytes:
    return f'<s:Envelope xmlns:s="{SOAP}"><s:Body>{body}</s:Body></s:Envelope>'.encode()


def bomb() -> bytes:
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    return f'<!DOCTYPE a [<!ENTITY e0 "ha">{entities}]><a>&e11;</a>'.encode()


def fault(code: str, text: str) -> bytes:
    return envelope(
        f"<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>ter:{code}</s:Value></s:Subcode></s:Code>"
        f"<s:Reason><s:Text>{text}</s:Text></s:Reason></s:Fault>"
    )


def asked(give: Callable[[Request], Iterable[bytes]], timeout: float = 2.0) -> OnvifError:
    """Asks a camera that answers so; returns the error."""
    with web_camera(give) as camera:
        device = OnvifDevice(SoapClient(f"127.0.0.1:{camera.port}", "admin", "the-password", timeout=timeout))
        with pytest.raises(OnvifError) as error:
            device.information()
    assert "the-password" not in str(error.value)
    assert len(str(error.value)) < 400
    return error.value


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (bomb(), "200 OK", Reason.NO_VIDEO),
        (b"<html>Login</html>", "200 OK", Reason.NO_VIDEO),
        (b"", "200 OK", Reason.NO_VIDEO),
        (b"\xff" * 1000, "500 Oops", Reason.NO_VIDEO),
        (envelope(""), "200 OK", Reason.NO_VIDEO),
        (envelope("<a/>"), "500 Oops", Reason.NO_VIDEO),
        (b"not found", "404 Not Found", Reason.NOT_FOUND),
        (b"", "403 Forbidden", Reason.UNAUTHORISED),
        (fault("NotAuthorized", "Sender not authorized"), "400 Bad Request", Reason.UNAUTHORISED),
        (fault("Whatever", "no, the-password! " + "x" * 5000), "500 Oops", Reason.OTHER),
    ],
)
def test_an_answer_that_is_no_answer_says_so(body: bytes, status: str, reason: Reason) -> None:
    assert asked(lambda _request: [answer(body, XML, status)]).reason is reason


def test_a_redirect_is_not_followed() -> None:
    with web_camera(lambda _request: [answer()]) as other:
        error = asked(lambda _request: [answer(b"", XML, "302 Found", [f"Location: {other.url('/')}"])])
        assert error.reason is Reason.REDIRECT
        assert other.requests == []


def test_a_huge_answer_is_cut_off() -> None:
    sent = 0

    def flood(_request: Request) -> Iterator[bytes]:
        nonlocal sent
        yield endless(XML)
        for _ in itertools.repeat(None):
            sent += 1 << 16
            yield b"x" * (1 << 16)

    assert asked(flood).reason is Reason.TOO_LARGE
    assert sent < MOST_BYTES + (16 << 20), "what fits into the sockets' buffers, and no more"


def test_an_answer_that_drips_ends_in_time() -> None:
    stopped = threading.Event()

    def drip(_request: Request) -> Iterator[bytes]:
        yield endless(XML)
        while not stopped.wait(0.1):
            yield b" "

    began = time.monotonic()
    try:
        assert asked(drip, timeout=0.3).reason is Reason.TIMEOUT
    finally:
        stopped.set()
    assert time.monotonic() - began < 1.3 + BUSY


def test_a_camera_that_does_not_answer_ends_in_time() -> None:
    stopped = threading.Event()

    def silence(_request: Request) -> Iterator[bytes]:
        stopped.wait(20)
        yield b""

    try:
        assert asked(silence, timeout=0.3).reason is Reason.TIMEOUT
    finally:
        stopped.set()


def test_no_camera_at_all_is_said() -> None:
    with pytest.raises(OnvifError) as error:
        OnvifDevice(SoapClient("127.0.0.1:9")).information()
    assert error.value.reason is Reason.REFUSED


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("", "HOST"),
        ("rtsp://10.0.0.7/", "HOST"),
        ("http://user:secret@10.0.0.7/", "not in the address"),
        ("user:secret@10.0.0.7", "not in the address"),
        ("10.0.0.7:99999", "HOST"),
        ("http://[::1/", "HOST"),
        ("10.0.0.7/a b", "HOST"),
    ],
)
def test_an_address_that_cannot_be_one_is_refused_without_quoting_it(address: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as error:
        SoapClient(address)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("stated", "used"),
    [
        ("http://10.0.0.7:8000/onvif/ptz?x=1", "http://10.0.0.7:8000/onvif/ptz?x=1"),
        ("http://10.0.0.7/onvif/ptz", "http://10.0.0.7:80/onvif/ptz"),
        ("http://evil.example:8000/onvif/ptz", "http://10.0.0.7:80/onvif/ptz"),
        ("http://10.0.0.7:80@evil.example/onvif/ptz", "http://10.0.0.7:80/onvif/ptz"),
    ],
)
def test_services_are_asked_on_the_host_that_we_know_only(stated: str, used: str) -> None:
    assert SoapClient("10.0.0.7:80").own(stated) == used


def test_a_service_that_is_not_http_is_refused() -> None:
    for stated in ("ftp://10.0.0.7/", "file:///etc/passwd", "http://["):
        with pytest.raises(OnvifError):
            SoapClient("10.0.0.7").own(stated)
