"""Live video by WebRTC over HTTP: signalling, and packets as a viewer of another make decodes them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import httpx
import pytest

from sightd.daemon.config.model import Access as AccessOptions
from sightd.daemon.config.model import Http
from sightd.daemon.config.webrtc import WebRtc
from sightd.daemon.serve.auth import Access
from sightd.daemon.serve.http.app import create_app
from sightd.daemon.serve.http.server import HttpServer
from sightd.daemon.serve.webrtc.service import WebRtcService
from tests.daemon.recording.packets import encoded
from tests.daemon.serve.http.test_app import View
from tests.daemon.serve.numbered import NumberedCamera, number_in
from tests.support import http
from tests.support.access import NO_TOKENS
from tests.support.waiting import eventually
from tests.support.whep import SDP, Watching, offered, post, watching

pytestmark = pytest.mark.waiting

TOKENS = {"wall": "a-token-of-somebody-to-view", "boss": "a-token-of-somebody-to-rule"}
ACCESS = AccessOptions.model_validate(
    {"tokens": {"wall": {"role": "view", "token": TOKENS["wall"]}, "boss": {"role": "admin", "token": TOKENS["boss"]}}}
)


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
        self.camera.__enter__()
        self.url = f"http://127.0.0.1:{self.server.port}"

    @property
    def viewers(self) -> int:
        return self.video.viewers("webrtc")

    def close(self) -> None:
        self.camera.__exit__()
        self.service.close()
        self.server.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Site]]:
    made: list[Site] = []

    def start(access: Access = NO_TOKENS, **options: object) -> Site:
        made.append(Site(access, **options))
        return made[-1]

    yield start
    for one in made:
        one.close()


@pytest.fixture
def site(serve: Callable[..., Site]) -> Site:
    return serve()


async def numbers(viewer: Watching, count: int) -> list[int]:
    return [number_in(await viewer.frame()) for _ in range(count)]


def steps(found: list[int]) -> set[int]:
    return {later - earlier for earlier, later in pairwise(found)}


def test_a_viewer_gets_every_frame_in_order_and_says_goodbye(site: Site) -> None:
    async def watch() -> list[int]:
        async with watching(site.url) as viewer:
            return await numbers(viewer, 10)

    assert steps(asyncio.run(watch())) == {1}
    eventually(lambda: site.viewers == 0, 5, "the viewer said goodbye")
    assert not site.video.annotated.wanted


def test_a_late_viewer_needs_not_wait_for_the_next_key_frame(site: Site) -> None:
    async def watch() -> tuple[int, int]:
        async with watching(site.url) as first:
            begun = (await numbers(first, 3))[-1]
            async with watching(site.url) as late:
                return begun, number_in(await late.frame())

    first, late = asyncio.run(watch())
    assert late - first < 100, "the encoder's own key frames are 250 frames apart"


def test_lost_packets_are_sent_again(site: Site) -> None:
    async def watch() -> list[int]:
        async with watching(site.url) as viewer:
            await viewer.frame()
            network: Any = viewer.peer.getReceivers()[0].transport.transport
            receive, lost = network._recv, list[bytes]()

            async def lossy() -> bytes:
                while True:
                    data: bytes = await receive()
                    is_lost = data[0] == 0x80 and not 200 <= data[1] <= 206 and data[3] % 20 == 0 and len(lost) < 10
                    if not is_lost or data in lost:  # a packet that is sent again is the same, byte by byte
                        return data
                    lost.append(data)

            network._recv = lossy
            found = await numbers(viewer, 20)
            assert len(lost) >= 3
            return found

    assert steps(asyncio.run(watch())) == {1}


def test_a_viewer_who_asks_for_a_key_frame_gets_one(site: Site) -> None:
    async def watch() -> bool:
        async with watching(site.url) as viewer:
            await viewer.frame()
            receiver: Any = viewer.peer.getReceivers()[0]
            before = site.video.annotated._key_at
            await receiver._send_rtcp_pli(next(iter(receiver.transport._rtp_router.ssrc_table), 0))
            for _ in range(50):
                await viewer.frame()
                if site.video.annotated._key_at > before:
                    return True
            return False

    assert asyncio.run(watch())


def test_delete_ends_the_session_once(site: Site) -> None:
    async def watch() -> tuple[int, list[int]]:
        async with watching(site.url) as viewer:
            await viewer.frame()
            there, address = site.viewers, site.url + viewer.session
            ended = [await asyncio.to_thread(http.delete, address, headers={"X-Sightd": "1"}) for _ in range(2)]
            return there, [answer.status_code for answer in ended]

    assert asyncio.run(watch()) == (1, [200, 404])
    assert site.viewers == 0


def test_a_camera_that_is_removed_ends_its_sessions(site: Site) -> None:
    async def watch() -> None:
        async with watching(site.url) as viewer:
            await viewer.frame()
            site.video.end()
            await asyncio.to_thread(eventually, lambda: site.viewers == 0, 5, "the session ended")
            async with asyncio.timeout(5):
                while viewer.peer.connectionState != "closed":
                    await asyncio.sleep(0.05)

    asyncio.run(watch())
    assert site.viewers == 0


def test_a_viewer_who_does_not_connect_is_given_up(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightd.daemon.serve.webrtc.session.CONNECT_WITHIN", 0.1)
    answer = post(site.url, offered())
    assert answer.status_code == 201
    address = site.url + answer.headers["Location"]
    eventually(lambda: site.service.end(address.rpartition("/")[2]) is False, 5, "the session ended")


def test_garbage_on_the_udp_port_disturbs_nobody(site: Site) -> None:
    async def watch() -> list[int]:
        async with watching(site.url) as viewer:
            await viewer.frame()
            sessions: Any = site.service._sessions
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                for first in range(256):
                    stranger.sendto(bytes([first]) * (first % 60 + 1), ("127.0.0.1", sessions._port.port))
                stranger.sendto(b"", ("127.0.0.1", sessions._port.port))
            return await numbers(viewer, 5)

    assert steps(asyncio.run(watch())) == {1}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is not SDP"),
        (b"\xff\xfe", "UTF-8"),
        ("v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n", "does not offer to receive video"),
        ("v=0\r\nm=video 9 RTP/AVP 96\r\na=recvonly\r\n", "UDP/TLS/RTP/SAVPF"),
    ],
)
def test_an_offer_that_cannot_be_answered_is_refused_with_the_reason(
    site: Site, text: str | bytes, reason: str
) -> None:
    answer = post(site.url, text)
    assert answer.status_code == 400
    assert reason in answer.json()["error"]


def test_other_bodies_cameras_and_methods_are_refused(site: Site) -> None:
    assert post(site.url, "{}", **{"Content-Type": "application/json"}).status_code == 415
    assert post(site.url, "v" * 70_000).status_code == 413
    assert post(site.url, "v=0", camera="back").json()["cameras"] == ["front"]
    assert post(site.url, "v=0", query="?view=other").status_code == 422
    forged = http.post(f"{site.url}/api/v1/whep/front", content="v=0", headers={"Content-Type": SDP["Content-Type"]})
    assert forged.status_code == 403
    trickle = httpx.patch(f"{site.url}/api/v1/whep/sessions/x", headers=SDP, content="a=candidate:1")
    assert (trickle.status_code, trickle.headers["allow"]) == (405, "DELETE")


def test_too_many_viewers_are_refused(serve: Callable[..., Site]) -> None:
    site = serve(max_viewers=1)
    offer = offered()
    assert post(site.url, offer).status_code == 201
    refused = post(site.url, offer)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    assert "webrtc.max_viewers" in refused.json()["error"]


def test_a_port_that_is_taken_is_named(serve: Callable[..., Site]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        site = serve(port=taken.getsockname()[1])
        refused = post(site.url, offered())
        assert refused.status_code == 503
        assert f"UDP 127.0.0.1:{taken.getsockname()[1]} (webrtc.port)" in refused.json()["error"]


def test_addresses_of_the_configuration_replace_our_own_and_servers_are_in_the_link(serve: Callable[..., Site]) -> None:
    turn = {"urls": ["turn:turn.example:3478"], "username": "me", "password": 'se"cret'}
    site = serve(addresses=["10.0.0.5", "2001:db8::5"], turn=turn)
    answer = post(site.url, offered())
    candidates = [line.split()[4] for line in answer.text.splitlines() if line.startswith("a=candidate:")]
    assert candidates == ["10.0.0.5", "2001:db8::5"]
    link = (
        '<turn:turn.example:3478>; rel="ice-server"; username="me"; credential="se\\"cret"; credential-type="password"'
    )
    assert answer.headers["link"] == link
    asked = httpx.options(f"{site.url}/api/v1/whep/front")
    assert (asked.status_code, asked.headers["link"]) == (204, link)


def test_nothing_runs_before_the_first_viewer(site: Site) -> None:
    assert site.service._thread is None
    post(site.url, "v=0")
    assert site.service._thread is not None


def test_without_a_token_there_is_no_session(serve: Callable[..., Site]) -> None:
    site = serve(Access(ACCESS))
    assert post(site.url, offered()).status_code == 401
    assert post(site.url, offered(), Authorization=f"Bearer {TOKENS['wall']}").status_code == 201


def play_clean(site: Site, codec: str = "h264") -> None:
    site.video.clean.stream_opened(codec)
    for packet in encoded("h264", 5):
        site.video.clean.packet_received(packet)


def test_the_clean_view_is_what_the_camera_sends_from_its_last_key_frame_on(site: Site) -> None:
    play_clean(site)

    async def watch() -> tuple[int, int]:
        async with watching(site.url, query="?view=clean") as viewer:
            frames = [await viewer.frame() for _ in range(3)]
            return frames[0].width, frames[2].height

    assert asyncio.run(watch()) == (320, 240)
    assert not site.video.annotated.wanted


def test_a_clean_view_that_browsers_cannot_show_is_refused_with_the_reason(site: Site) -> None:
    offline = post(site.url, offered(), query="?view=clean")
    assert (offline.status_code, "does not send" in offline.json()["error"]) == (503, True)
    play_clean(site, "hevc")
    hevc = post(site.url, offered(), query="?view=clean")
    assert (hevc.status_code, "/api/v1/mse/front?view=clean" in hevc.json()["error"]) == (409, True)
    play_clean(site)
    site.video.clean._reordered = True
    assert "B-frames" in post(site.url, offered(), query="?view=clean").json()["error"]


def test_a_clean_view_of_a_chain_that_redacts_is_for_administrators_and_only_if_recordings_are(
    serve: Callable[..., Site],
) -> None:
    site = serve(Access(ACCESS))
    play_clean(site)

    def status(name: str) -> int:
        return post(site.url, offered(), query="?view=clean", Authorization=f"Bearer {TOKENS[name]}").status_code

    assert (status("wall"), status("boss")) == (201, 201)
    site.video.restrict(redacted=True, allowed=True)
    assert (status("wall"), status("boss")) == (403, 201)
    site.video.restrict(redacted=True, allowed=False)
    assert (status("wall"), status("boss")) == (403, 403)
