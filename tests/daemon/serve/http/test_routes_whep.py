"""Live video by WebRTC over HTTP: signalling, and packets as a viewer of another make decodes them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import pairwise

import pytest

from sightd.daemon.config.model import Http
from sightd.daemon.config.webrtc import WebRtc
from sightd.daemon.serve.auth import Access
from sightd.daemon.serve.http.app import create_app
from sightd.daemon.serve.http.server import HttpServer
from sightd.daemon.serve.webrtc.service import WebRtcService
from tests.daemon.serve.http.test_app import View
from tests.daemon.serve.numbered import NumberedCamera, number_in
from tests.support import http
from tests.support.access import NO_TOKENS
from tests.support.waiting import eventually
from tests.support.whep import SDP, offered, post, watching

pytestmark = pytest.mark.waiting


class Site:
    """A web server with the camera "front", which encodes while it is watched."""

    def __init__(self, access: Access = NO_TOKENS, **options: object) -> None:
        self.view = View()
        self.video = self.view.browsers
        self.service = WebRtcService(WebRtc.model_validate({"port": 0, **options}), "127.0.0.1")
        app = create_app(self.view, lambda _: (b"", "text/plain"), 8, access, webrtc=self.service)
        self.server = HttpServer(Http(port=0), app)
        self.server.start()
        self.camera = NumberedCamera(self.video.annotated)
        self.url = f"http://127.0.0.1:{self.server.port}"

    @property
    def viewers(self) -> int:
        return self.video.viewers("webrtc")

    def close(self) -> None:
        self.service.close()
        self.server.close()


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    with made.camera:
        yield made
    made.close()


def test_a_viewer_gets_the_packets_of_the_encoder_in_order_and_none_is_missing(site: Site) -> None:
    async def watch() -> list[int]:
        async with watching(site.url) as viewer:
            return [number_in(await viewer.frame()) for _ in range(10)]

    numbers = asyncio.run(watch())
    assert [later - earlier for earlier, later in pairwise(numbers)] == [1] * 9
    eventually(lambda: site.viewers == 0, 5, "the viewer said goodbye")
    assert not site.video.annotated.wanted


def test_delete_ends_the_session_once(site: Site) -> None:
    async def watch() -> tuple[int, int, int]:
        async with watching(site.url) as viewer:
            await viewer.frame()
            address = site.url + viewer.session
            there = site.viewers
            ended = await asyncio.to_thread(http.delete, address, headers={"X-Sightd": "1"})
            again = await asyncio.to_thread(http.delete, address, headers={"X-Sightd": "1"})
            return there, ended.status_code, again.status_code

    assert asyncio.run(watch()) == (1, 200, 404)
    assert site.viewers == 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is not SDP"),
        ("v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n", "does not offer to receive video"),
        ("v=0\r\nm=video 9 RTP/AVP 96\r\na=recvonly\r\n", "UDP/TLS/RTP/SAVPF"),
    ],
)
def test_an_offer_that_cannot_be_answered_is_refused_with_the_reason(site: Site, text: str, reason: str) -> None:
    answer = post(site.url, text)
    assert answer.status_code == 400
    assert reason in answer.json()["error"]


def test_an_offer_without_h264_is_refused(site: Site) -> None:
    answer = post(site.url, offered().replace("H264", "H263"))
    assert (answer.status_code, "H264/90000" in answer.json()["error"]) == (400, True)


def test_other_bodies_cameras_and_methods_are_refused(site: Site) -> None:
    assert post(site.url, "{}", **{"Content-Type": "application/json"}).status_code == 415
    assert post(site.url, "v" * 70_000).status_code == 413
    assert post(site.url, "v=0", camera="back").json()["cameras"] == ["front"]
    assert (
        http.post(
            f"{site.url}/api/v1/whep/front", content="v=0", headers={"Content-Type": SDP["Content-Type"]}
        ).status_code
        == 403
    )
