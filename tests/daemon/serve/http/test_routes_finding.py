"""Cameras are found and tried over HTTP by administrators only, one at a time, without a password in any answer."""

from __future__ import annotations

import base64
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

from sightd.daemon.config.model import Access as Options
from sightd.daemon.config.model import Camera, Http
from sightd.daemon.onvif.discovery import FoundDevice, NoInterfaceError
from sightd.daemon.onvif.finder import Login, kind_of, with_login, without_login
from sightd.daemon.serve.auth import Access
from sightd.daemon.serve.http import routes_finding
from sightd.daemon.serve.http.app import create_app
from sightd.daemon.serve.http.routes_finding import add_finding
from sightd.daemon.serve.http.server import HttpServer
from tests.daemon.serve.http.test_app import View
from tests.support.onvif_camera import OnvifCamera
from tests.support.waiting import eventually
from tests.support.web_camera import answer, web_camera

pytestmark = pytest.mark.waiting

ROLES = ("view", "operate", "admin")
CAMERAS = {"gate": Camera.model_validate({"source": "rtsp://u:p@10.0.0.7/1"})}
FOUND = FoundDevice("10.0.0.7", "http://10.0.0.7/onvif/device_service", "Front", "D4", "")


class Site:
    """A web server with a token for each role, named like the role. `search` is what it looks for cameras with."""

    def __init__(self) -> None:
        self.searched: list[Any] = []
        self.release = threading.Event()
        self.release.set()
        tokens = {role: {"token": role * 16, "role": role} for role in ROLES}
        tokens["second"] = {"token": "second" * 16, "role": "admin"}
        access = Access(Options.model_validate({"tokens": tokens}))
        app = create_app(View(), lambda _: (b"", "text/plain"), 8, access)
        add_finding(app, lambda: CAMERAS, access, self._search)
        self.server = HttpServer(Http(port=0), app)
        self.server.start()
        self.web = httpx.Client(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), timeout=40)

    def _search(self, seconds: float, interfaces: list[str]) -> list[FoundDevice]:
        self.searched.append((seconds, interfaces))
        self.release.wait(20)
        if interfaces == ["none"]:
            raise NoInterfaceError("there is no interface 'none'; there are: lo")
        return [FOUND]

    def post(self, path: str, body: object = None, role: str = "admin") -> httpx.Response:
        headers = {"Authorization": f"Bearer {role * 16}", "X-Sightd": "1"}
        url = f"http://127.0.0.1:{self.server.port}/api/v1/{path}"
        return self.web.post(url, json=body, headers=headers)


@pytest.fixture(scope="module")
def shared() -> Iterator[Site]:
    site = Site()
    yield site
    site.release.set()
    site.server.close()
    site.web.close()


@pytest.fixture
def site(shared: Site) -> Site:
    shared.searched.clear()
    shared.release.set()
    return shared


def test_devices_are_listed_with_the_cameras_that_they_are(site: Site) -> None:
    found = site.post("discovery")
    stated = {"host": "10.0.0.7", "address": FOUND.address, "name": "Front", "hardware": "D4", "location": ""}
    assert found.json() == [{**stated, "camera": "gate"}]
    assert site.post("discovery", {"seconds": 1, "interfaces": ["lo"]}).status_code == 200
    assert site.searched == [(3.0, []), (1.0, ["lo"])]


def test_an_interface_that_does_not_exist_is_said(site: Site) -> None:
    answer = site.post("discovery", {"interfaces": ["none"]})
    assert (answer.status_code, "there are: lo" in answer.json()["error"]) == (409, True)


@pytest.mark.parametrize("body", [{"seconds": 11}, {"seconds": 0}, {"interfaces": ["x" * 16]}, {"more": 1}])
def test_a_search_is_limited(site: Site, body: dict[str, Any]) -> None:
    assert site.post("discovery", body).status_code == 422
    assert site.searched == []


@pytest.mark.parametrize("path", ["discovery", "cameras/probe"])
def test_only_administrators_may_make_this_machine_send_requests(site: Site, path: str) -> None:
    for role in ("view", "operate"):
        assert site.post(path, {"address": "rtsp://127.0.0.1:9/"}, role).status_code == 403


def test_one_search_runs_at_a_time(site: Site) -> None:
    site.release.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(site.post, "discovery")
        eventually(lambda: bool(site.searched))
        busy = site.post("discovery", role="second")
        site.release.set()
        assert first.result().status_code == 200
    assert (busy.status_code, busy.headers["retry-after"]) == (429, "5")


def test_each_user_tries_one_address_at_a_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    entered, left = threading.Semaphore(0), threading.Event()

    def attempt(*_: object) -> dict[str, Any]:
        entered.release()
        left.wait(20)
        return {"ok": False, "kind": "stream", "reason": "other", "words": "", "error": ""}

    monkeypatch.setattr(routes_finding, "attempt", attempt)
    body = {"address": "rtsp://127.0.0.1:9/"}
    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(site.post, "cameras/probe", body, role) for role in ("admin", "second")]
        for _ in running:
            assert entered.acquire(timeout=20)
        assert site.post("cameras/probe", body).status_code == 429
        left.set()
        assert [one.result().status_code for one in running] == [200, 200]
    assert site.post("cameras/probe", body).status_code == 200


def test_a_stream_is_seen(site: Site) -> None:
    seen = site.post("cameras/probe", {"address": "testpattern://"}).json()
    assert (seen["ok"], seen["kind"], seen["width"], seen["height"]) == (True, "stream", 1280, 720)
    assert seen["fps"] == pytest.approx(25, abs=5)
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(seen["picture"]), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (720, 1280, 3)


def test_a_stream_is_named_without_the_login_that_its_address_had(site: Site) -> None:
    picture = cv2.imencode(".jpg", np.zeros((90, 160, 3), np.uint8))[1].tobytes()
    with web_camera(lambda _request: [answer(picture)]) as camera:
        seen = site.post("cameras/probe", {"address": camera.url("/now.jpg", "admin:a-password@")})
    assert (seen.json()["ok"], seen.json()["address"]) == (True, camera.url("/now.jpg"))
    assert "a-password" not in seen.text


def test_an_onvif_device_lists_its_profiles_without_credentials(site: Site) -> None:
    with OnvifCamera(clock_offset=3600.0) as camera:
        body = {"address": f"127.0.0.1:{camera.port}", "username": camera.username, "password": camera.password}
        given = site.post("cameras/probe", body)
        wrong = site.post("cameras/probe", {**body, "password": "wrong-password"})
    found = given.json()
    assert (found["ok"], found["kind"], found["model"]) == (True, "onvif", "Dome 4")
    assert found["clock_offset"] == pytest.approx(3600, abs=2)
    sub, main = found["profiles"]
    assert (main["ptz"], sub["ptz"], main["codec"], main["width"]) == (True, False, "h265", 2560)
    assert main["address"] == "rtsp://127.0.0.1:554/cam0?profile=main"
    assert camera.password not in given.text
    assert (wrong.json()["ok"], wrong.json()["reason"]) == (False, "unauthorised")
    assert "wrong-password" not in wrong.text


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("rtsp://admin:a-password@127.0.0.1:9/stream", "refused"),
        ("/etc/passwd", "invalid"),
        ("file:///etc/passwd", "invalid"),
        ("gopher://127.0.0.1/", "invalid"),
        ("rtsp://admin:a-password@[::1/", "invalid"),
        ("127.0.0.1:9", "refused"),
        ("a-password@127.0.0.1:9", "invalid"),
        ("http://[/onvif/", "invalid"),
    ],
)
def test_why_there_is_nothing_is_said_without_the_password(site: Site, address: str, reason: str) -> None:
    answer = site.post("cameras/probe", {"address": address})
    assert answer.status_code == 200
    assert (answer.json()["ok"], answer.json()["reason"]) == (False, reason)
    assert answer.json()["error"]
    assert "a-password" not in answer.text


@pytest.mark.parametrize("body", [{}, {"address": ""}, {"address": "x", "kind": "other"}, {"address": "x", "y": 1}])
def test_what_is_no_attempt_is_refused(site: Site, body: dict[str, Any]) -> None:
    assert site.post("cameras/probe", body).status_code == 422


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("10.0.0.7", "onvif"),
        ("camera:8000", "onvif"),
        ("http://10.0.0.7/onvif/device_service", "onvif"),
        ("http://10.0.0.7/video.mjpg", "stream"),
        ("rtsp://10.0.0.7/onvif/profile1", "stream"),
        ("/dev/video0", "stream"),
        ("testpattern://", "stream"),
    ],
)
def test_an_address_is_tried_as_what_it_looks_like(address: str, kind: str) -> None:
    assert kind_of(address) == kind


def test_user_and_password_are_escaped_into_an_address_and_taken_out_of_it() -> None:
    login = Login("a@b", "c/d:e")
    assert with_login("rtsp://old:x@10.0.0.7:554/1?a=b", login) == "rtsp://a%40b:c%2Fd%3Ae@10.0.0.7:554/1?a=b"
    assert without_login("rtsp://a%40b:c%2Fd%3Ae@10.0.0.7:554/1?a=b") == ("rtsp://10.0.0.7:554/1?a=b", login)
    assert with_login("/dev/video0", login) == "/dev/video0"
    assert "c/d" not in repr(login)
