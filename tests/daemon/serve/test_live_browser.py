"""Live video in Chromium, as pages of this server show it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from sightd.daemon.config.model import Http
from sightd.daemon.config.webrtc import WebRtc
from sightd.daemon.serve.http.app import create_app
from sightd.daemon.serve.http.server import HttpServer
from sightd.daemon.serve.webrtc.service import WebRtcService
from tests.daemon.recording.packets import FPS, encoded
from tests.daemon.serve.http.test_app import View
from tests.daemon.serve.numbered import NumberedCamera
from tests.support.access import NO_TOKENS
from tests.support.browser import LIVE_PAGE, chromium_page

pytestmark = [pytest.mark.slow, pytest.mark.waiting]

STATE = """() => { const quality = video.getVideoPlaybackQuality();
    return {width: video.videoWidth, height: video.videoHeight, frames: quality.totalVideoFrames}; }"""


class Site:
    """A web server with a camera that encodes while it is watched, and sends by itself in the clean view."""

    def __init__(self) -> None:
        self.view = View()
        self.video = self.view.browsers
        self.service = WebRtcService(WebRtc(port=0), "127.0.0.1")
        self.server = HttpServer(
            Http(port=0), create_app(self.view, lambda _: (b"", "text/plain"), 8, NO_TOKENS, webrtc=self.service)
        )
        self.server.start()
        self.url = f"http://127.0.0.1:{self.server.port}/healthz"

    def send_clean(self, codec: str = "h264") -> None:
        """Sends a second of what the camera sends, as if it had just arrived."""
        self.video.clean.stream_opened(codec)
        now = time.monotonic()
        for number, packet in enumerate(encoded(codec, FPS)):
            at = now - 1 + number / FPS
            self.video.clean.packet_received(type(packet)(packet.data, at, None, packet.key, at))


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    made = Site()
    with NumberedCamera(made.video.annotated):
        yield made
    made.service.close()
    made.server.close()


@pytest.fixture(scope="module")
def chromium(site: Site) -> Iterator[Page]:
    with chromium_page(site.url) as page:
        yield page


@pytest.fixture
def page(site: Site, chromium: Page) -> Page:
    chromium.goto(site.url)
    chromium.add_script_tag(path=LIVE_PAGE)
    return chromium


def show(page: Page, function: str, query: str = "") -> None:
    """Returns when the first frame is shown."""
    page.evaluate(f"async () => {{ window.video = await {function}('front', '{query}'); await firstFrame(video); }}")


@pytest.mark.parametrize(("function", "protocol"), [("showByWebRtc", "webrtc"), ("showByMse", "mse")])
def test_the_annotated_view_plays(site: Site, page: Page, function: str, protocol: str) -> None:
    show(page, function)
    assert site.video.viewers("webrtc" if protocol == "webrtc" else "mse") == 1
    page.wait_for_function("video.getVideoPlaybackQuality().totalVideoFrames >= 25", timeout=30_000)
    state = page.evaluate(STATE)
    assert (state["width"], state["height"]) == (640, 360)


@pytest.mark.parametrize("function", ["showByWebRtc", "showByMse"])
def test_the_clean_view_shows_the_last_group_at_once(site: Site, page: Page, function: str) -> None:
    site.send_clean()
    show(page, function, "?view=clean")
    state = page.evaluate(STATE)
    assert (state["width"], state["height"]) == (320, 240)


def test_a_session_that_is_deleted_stops(site: Site, page: Page) -> None:
    show(page, "showByWebRtc")
    status = page.evaluate("async () => (await fetch(session, {method: 'DELETE', headers: {'X-Sightd': '1'}})).status")
    assert status == 200
    page.wait_for_function("['disconnected', 'failed', 'closed'].includes(peer.connectionState)", timeout=30_000)
    assert site.video.viewers("webrtc") == 0


def test_a_frame_size_that_changes_is_shown(site: Site, page: Page) -> None:
    site.send_clean()
    show(page, "showByMse", "?view=clean")
    for packet in encoded("h264", FPS, (400, 240)):
        at = time.monotonic()
        site.video.clean.packet_received(type(packet)(packet.data, at, None, packet.key, at))
        page.wait_for_timeout(1000 / FPS)  # of a burst, a viewer gets only what follows the next key frame
    page.wait_for_function("video.videoWidth === 400", timeout=30_000)
    assert page.evaluate("types.length") == 2
