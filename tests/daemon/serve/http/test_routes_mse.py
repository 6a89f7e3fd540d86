"""Live video over a WebSocket."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator

import av
import pytest
from wsproto.events import TextMessage

from sightd.daemon.config.model import Http
from sightd.daemon.serve.http.app import create_app
from sightd.daemon.serve.http.server import HttpServer
from tests.daemon.recording.packets import encoded
from tests.daemon.serve.http.test_app import View
from tests.daemon.serve.numbered import NumberedCamera, number_in
from tests.support.access import NO_TOKENS
from tests.support.waiting import eventually
from tests.support.websocket import WebSocketClient

pytestmark = pytest.mark.waiting

ROUTE = "/api/v1/mse/front"


class Site:
    """A web server with the camera "front", which encodes while it is watched; two viewers at most."""

    def __init__(self) -> None:
        self.view = View()
        self.video = self.view.browsers
        self.server = HttpServer(Http(port=0), create_app(self.view, lambda _: (b"", "text/plain"), 2, NO_TOKENS))
        self.server.start()

    def watch(self, query: str = "", path: str = ROUTE) -> WebSocketClient:
        return WebSocketClient(("127.0.0.1", self.server.port), path + query, buffer=1 << 18)


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    with NumberedCamera(made.video.annotated):
        yield made
    made.server.close()


def test_a_viewer_gets_every_frame_from_a_key_frame_on(site: Site) -> None:
    with site.watch() as viewer:
        assert viewer.receive()["type"].startswith('video/mp4; codecs="avc1.')
        film = b"".join(_binary(viewer) for _ in range(6))
        assert site.video.viewers("mse") == 1
    with av.open(io.BytesIO(film), "r") as container:
        numbers = [number_in(frame) for frame in container.decode(video=0)]
    assert numbers == list(range(numbers[0], numbers[0] + 5))
    eventually(lambda: site.video.viewers("mse") == 0, 5, "the viewer left")
    assert not site.video.annotated.wanted


def _binary(viewer: WebSocketClient) -> bytes:
    message = viewer.next()
    assert isinstance(message, bytes)
    return message


def test_the_clean_view_may_be_h265(site: Site) -> None:
    site.video.clean.stream_opened("hevc")
    for packet in encoded("hevc", 5):
        site.video.clean.packet_received(packet)
    with site.watch("?view=clean") as viewer:
        assert viewer.receive()["type"].startswith('video/mp4; codecs="hvc1.')
        assert _binary(viewer)[4:8] == b"ftyp"
        assert _binary(viewer).count(b"moof") == 4


def test_what_cannot_be_shown_is_refused_before_the_socket_opens(site: Site) -> None:
    with site.watch("?view=clean") as offline:
        assert (offline.status, "does not send" in offline.refusal()["error"]) == (503, True)
    site.video.clean.stream_opened("mjpeg")
    with site.watch("?view=clean") as other:
        assert (other.status, "mjpeg" in other.refusal()["error"]) == (409, True)
    with site.watch(path="/api/v1/mse/back") as unknown:
        assert (unknown.status, unknown.refusal()["cameras"]) == (404, ["front"])
    with site.watch("?view=other") as wrong:
        assert wrong.status == 422


def test_viewers_share_the_limit_of_mjpeg_viewers(site: Site) -> None:
    with site.watch(), site.watch(), site.watch() as third:
        assert (third.status, "http.max_viewers" in third.refusal()["error"]) == (503, True)


def test_a_camera_that_is_removed_closes_the_socket(site: Site) -> None:
    with site.watch() as viewer:
        viewer.receive()
        site.video.end()
        assert viewer.wait_closed() == 1001


def test_a_server_that_stops_closes_the_socket(site: Site) -> None:
    with site.watch() as viewer:
        viewer.receive()
        stopping = threading.Thread(target=site.server.close)
        stopping.start()
        assert viewer.wait_closed() in (1001, 1012)
        stopping.join(5)


def test_a_viewer_who_sends_something_is_not_served(site: Site) -> None:
    with site.watch() as viewer:
        viewer.receive()
        viewer.send(TextMessage("hello"))
        assert viewer.wait_closed() == 1003
