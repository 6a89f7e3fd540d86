"""A feed on RTSP cameras that are odd: how they ask for a login, what they describe, where they redirect to."""

from __future__ import annotations

import itertools

import pytest

from daemon.capture.errors import Reason
from tests.support.camera import need_rtsp_server
from tests.support.feeds import RunningFeed
from tests.support.odd_camera import AUDIO, FPS, VIDEO, OddCamera, Packets
from tests.support.waiting import eventually


@pytest.fixture(autouse=True)
def _gstreamer() -> None:
    need_rtsp_server()


@pytest.mark.parametrize("algorithms", [["Basic"], ["MD5"], ["MD5", "SHA-256"], ["SHA-256", "MD5"], ["Basic", "MD5"]])
def test_every_common_login_is_known(algorithms: list[str]) -> None:
    with (
        OddCamera(algorithms=algorithms) as camera,
        RunningFeed(camera.address(credentials="viewer:secret@")) as running,
    ):
        running.wait_for(2)
        assert running.record.losses == []


def test_a_wrong_password_is_tried_twice_at_most() -> None:
    """Many cameras lock the account after some five wrong passwords."""
    reconnect = {"first": "60s", "longest": "60s"}
    with (
        OddCamera(algorithms=["MD5"]) as camera,
        RunningFeed(camera.address(credentials="viewer:wrong@"), reconnect=reconnect) as running,
    ):
        eventually(lambda: running.record.losses != [])
        tried = [request for request in camera.requests if "authorization" in request.headers]
        assert 1 <= len(tried) <= 2
        assert running.record.losses == [Reason.UNAUTHORISED]


def test_audio_is_not_fetched() -> None:
    with OddCamera(media=[*AUDIO, *VIDEO]) as camera, RunningFeed(camera.address()) as running:
        running.wait_for(2)
        assert [request.uri.rpartition("/")[2] for request in camera.asked("SETUP")] == ["video"]


def test_a_source_with_audio_only_is_called_so() -> None:
    with OddCamera(media=AUDIO) as camera, RunningFeed(camera.address()) as running:
        eventually(lambda: running.record.losses != [])
        assert running.record.losses[0] is Reason.NO_VIDEO
        assert "audio only" in (running.feed.status.last_error or "")


def test_a_redirect_on_the_same_host_is_followed() -> None:
    with OddCamera() as target, OddCamera(redirect=target.address("here")) as camera:
        with RunningFeed(camera.address()) as running:
            running.wait_for(2)
        assert target.asked("PLAY")


def test_nothing_is_said_to_another_host_that_a_camera_redirects_to() -> None:
    with OddCamera(algorithms=["Basic"], host="127.0.0.2") as target:
        with (
            OddCamera(algorithms=["Basic"], redirect=target.address("here")) as camera,
            RunningFeed(camera.address(credentials="viewer:secret@")) as running,
        ):
            eventually(lambda: running.record.losses != [])
            assert "redirects to another host" in (running.feed.status.last_error or "")
        assert target.requests == []


def test_a_redirect_to_another_host_is_the_reason_even_if_nobody_listens_there() -> None:
    with OddCamera(host="127.0.0.2") as target:
        address = target.address("here")
    with OddCamera(redirect=address) as camera, RunningFeed(camera.address()) as running:
        eventually(lambda: running.record.losses != [])
        assert "redirects to another host" in (running.feed.status.last_error or "")


def test_a_redirect_in_a_circle_ends() -> None:
    with OddCamera() as camera:
        camera._redirect = camera.address()
        with RunningFeed(camera.address(), reconnect={"first": "60s", "longest": "60s"}) as running:
            eventually(lambda: running.record.losses != [])
            assert "redirects without end" in (running.feed.status.last_error or "")
        assert len(camera.asked("DESCRIBE")) < 10


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("403 Forbidden", Reason.UNAUTHORISED),
        ("404 Not Found", Reason.NOT_FOUND),
        ("453 Not Enough Bandwidth", Reason.OTHER),
        ("599 evil\x1b[31m", Reason.OTHER),
    ],
)
def test_what_a_camera_refuses_with_is_its_reason(status: str, reason: Reason) -> None:
    with OddCamera(status=status) as camera, RunningFeed(camera.address()) as running:
        eventually(lambda: running.record.losses != [])
        assert running.record.losses[0] is reason
        error = running.feed.status.last_error or ""
        assert error.isprintable()
        if reason is Reason.OTHER:
            assert status[:3] in error


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_times_are_the_cameras_own_however_its_packets_arrive(transport: str) -> None:
    """Pictures come in bursts of five; their times are 40 ms apart."""
    held: Packets = []

    def in_bursts(number: int, packets: Packets) -> Packets:
        held.extend(packets)
        if number % 5:
            return []
        burst, held[:] = list(held), []
        return burst

    with OddCamera(deliver=in_bursts) as camera, RunningFeed(camera.address(), transport=transport) as running:
        frames = running.wait_for(40)
    times = [frame.pts for frame in frames if frame.pts is not None]
    assert len(times) == len(frames)
    assert [later - earlier for earlier, later in itertools.pairwise(times)] == pytest.approx(
        [1 / FPS] * (len(times) - 1), abs=1e-3
    )


def test_a_lost_packet_holds_pictures_back_until_the_next_key_frame() -> None:
    def losing(number: int, packets: Packets) -> Packets:
        return packets[:-1] if number == 30 else packets

    with OddCamera(deliver=losing) as camera, RunningFeed(camera.address(), transport="udp") as running:
        running.wait_for(60)
        numbers = [bar.number for bar in running.bars()]
        assert running.record.damaged > 0
    assert set(range(26, 30)) <= set(numbers)
    assert not set(range(31, 50)) & set(numbers)
    assert set(range(50, 55)) <= set(numbers)


def test_udp_packets_out_of_order_are_put_in_order() -> None:
    def swapped(number: int, packets: Packets) -> Packets:
        return [*packets[1:], packets[0]] if number % 3 == 1 and number % FPS else packets

    with OddCamera(deliver=swapped) as camera, RunningFeed(camera.address(), transport="udp") as running:
        running.wait_for(60)
        numbers = [bar.number for bar in running.bars()]
        assert running.record.damaged == 0
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
