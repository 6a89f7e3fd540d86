"""Cameras are asked over ONVIF: a simulated one checks each request against the published schemas, and each login."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sightd.daemon.capture.errors import Reason
from sightd.daemon.onvif.device import OnvifDevice
from sightd.daemon.onvif.errors import OnvifError
from sightd.daemon.onvif.soap import SoapClient
from tests.support.onvif_camera import OnvifCamera

pytestmark = pytest.mark.waiting

SIGHTS = {
    "new": {},
    "without the second media service": {"media2": False},
    "without GetServices": {"old": True},
    "with a login by HTTP": {"http_digest": True},
    "whose clock is days ahead": {"clock_offset": 300_000.0},
    "whose clock is years behind": {"clock_offset": -40_000_000.0},
    "behind NAT": {"stated_host": "192.168.1.108"},
}


@pytest.fixture(params=SIGHTS.values(), ids=list(SIGHTS))
def camera(request: pytest.FixtureRequest) -> Iterator[OnvifCamera]:
    with OnvifCamera(**request.param) as camera:
        yield camera
    assert camera.wrong == []


def device_of(camera: OnvifCamera, password: str | None = None, timeout: float = 5.0) -> OnvifDevice:
    password = camera.password if password is None else password
    return OnvifDevice(SoapClient(f"127.0.0.1:{camera.port}", camera.username, password, timeout=timeout))


def test_every_kind_of_camera_describes_itself_and_its_streams(camera: OnvifCamera) -> None:
    device = device_of(camera)
    assert device.information().model == "Dome 4"
    assert device.offset == pytest.approx(camera.clock_offset, abs=2)
    sub, main = device.profiles()
    assert (sub.name, sub.codec, sub.size, sub.fps, sub.bitrate) == ("sub stream", "h264", (640, 360), 25.0, 4096)
    assert device.profile(None) == main, "it can be moved"
    assert device.profile("sub") == device.profile("sub stream") == sub
    assert device.stream(main) == "rtsp://127.0.0.1:554/cam0?profile=main"
    assert (device.snapshot(main) or "").endswith("/snap.jpg?profile=main")


def test_h265_is_known_from_the_second_media_service() -> None:
    with OnvifCamera() as camera:
        assert device_of(camera).profile("main").codec == "h265"


def test_a_profile_that_does_not_exist_is_named_with_those_that_do() -> None:
    with OnvifCamera() as camera, pytest.raises(OnvifError, match=r"no profile 'x'; it has sub stream, main stream"):
        device_of(camera).profile("x")


@pytest.mark.parametrize("http_digest", [False, True])
def test_a_wrong_password_is_said_and_not_repeated(http_digest: bool) -> None:
    with OnvifCamera(http_digest=http_digest) as camera:
        with pytest.raises(OnvifError, match="rejected user and password") as error:
            device_of(camera, "wrong-password").information()
        assert error.value.reason is Reason.UNAUTHORISED
        assert "wrong-password" not in str(error.value)


def test_credentials_are_never_sent_in_clear_text() -> None:
    with OnvifCamera(password="hunter2hunter2") as camera:
        seen: list[bytes] = []
        answered = camera._answered
        camera._answered = lambda http, data: seen.append(data) or answered(http, data)  # type: ignore[method-assign,func-returns-value]
        device_of(camera).profiles()
        assert seen
        assert not [data for data in seen if b"hunter2" in data]


def test_a_camera_that_asks_for_basic_authentication_does_not_get_the_password() -> None:
    with OnvifCamera(http_digest=True) as camera:
        camera.challenge = 'Basic realm="cam"'
        with pytest.raises(OnvifError, match="rejected user and password"):
            device_of(camera).information()
        assert camera.authorizations == []


def test_streams_on_another_host_are_looked_for_on_the_camera() -> None:
    with OnvifCamera(stream="rtsp://user:secret@203.0.113.9:8554/cam0") as camera:
        device = device_of(camera)
        assert device.stream(device.profile("sub")) == "rtsp://127.0.0.1:8554/cam0?profile=sub"


@pytest.mark.parametrize("stream", ["file:///etc/passwd", "gopher://127.0.0.1/", "", "rtsp://h:99999/", "rtsp://a b/"])
def test_what_is_not_the_address_of_a_stream_is_refused(stream: str) -> None:
    with OnvifCamera(stream=stream) as camera:
        device = device_of(camera)
        with pytest.raises(OnvifError) as error:
            device.stream(device.profile("sub"))
        assert error.value.reason is Reason.NO_VIDEO
