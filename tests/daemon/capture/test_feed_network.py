"""A feed from HTTP, and from hosts that misbehave."""

from __future__ import annotations

import functools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import pytest

from sightd.daemon.capture.errors import Reason
from sightd.daemon.capture.reconnect import FeedState
from tests.support.clips import Scene, write_clip
from tests.support.feeds import RunningFeed
from tests.support.waiting import eventually


class MjpegCamera(BaseHTTPRequestHandler):
    """Sends bar-coded JPEG images as network cameras do, 25 per second."""

    def do_GET(self) -> None:
        if self.path != "/video.mjpg":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        scene = Scene(640, 360)
        for number in range(1000):
            picture = cv2.cvtColor(scene.planes(number), cv2.COLOR_YUV2BGR_I420)
            jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            try:
                self.wfile.write(head.encode() + jpeg + b"\r\n")
            except OSError:
                return
            time.sleep(0.04)  # the camera's frame interval

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
        pass


class Folder(SimpleHTTPRequestHandler):
    """Serves files."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
        pass


@contextmanager
def web_server(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, name="web", daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@contextmanager
def silent_host() -> Iterator[int]:
    """Yields a port that accepts connections and never sends anything."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_mjpeg_over_http_is_read() -> None:
    with web_server(MjpegCamera) as address, RunningFeed(f"{address}/video.mjpg") as running:
        running.wait_for(30)
        numbers = [bar.number for bar in running.bars()]
    assert len(numbers) >= 25
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("name", ["clip.m3u8", "clip.ts", "clip.mp4"])
def test_a_recording_on_a_web_server_is_played_in_real_time_and_begun_again(tmp_path: Path, name: str) -> None:
    write_clip(tmp_path / name, size=(320, 240), frames=25)
    handler = functools.partial(Folder, directory=str(tmp_path))
    with web_server(handler) as address, RunningFeed(f"{address}/{name}") as running:
        running.wait_for(40)
        received = [at for at, _ in running.frames]
        numbers = [bar.number for bar in running.bars()]
    assert numbers[:40] == [*range(25), *range(15)]
    assert received[39] - received[0] == pytest.approx(39 / 25, abs=0.4)
    assert running.record.losses == []


def test_a_web_server_without_that_page_is_reported_as_not_found() -> None:
    with web_server(MjpegCamera) as address, RunningFeed(f"{address}/nothing") as running:
        eventually(lambda: Reason.NOT_FOUND in running.record.losses, 5.0)


@pytest.mark.parametrize("scheme", ["rtsp", "rtsps", "http"])
def test_a_host_that_accepts_and_never_answers_is_given_up_after_the_open_timeout(scheme: str) -> None:
    with silent_host() as port, RunningFeed(f"{scheme}://127.0.0.1:{port}/a", open_timeout="800ms") as running:
        eventually(lambda: Reason.TIMEOUT in running.record.losses, within=2 * 0.8 + 1.0)


@pytest.mark.parametrize("scheme", ["rtsp", "rtsps"])
def test_a_feed_stops_at_once_while_its_camera_is_opened(scheme: str) -> None:
    with silent_host() as port, RunningFeed(f"{scheme}://127.0.0.1:{port}/a", open_timeout="60s") as running:
        eventually(lambda: running.feed.status.state is FeedState.CONNECTING, 5.0)
        began = time.monotonic()
        assert running.feed.stop(deadline=30.0)
        assert time.monotonic() - began < 10


class SlowMjpegCamera(MjpegCamera):
    """Responds only when it is released."""

    asked, answer = threading.Event(), threading.Event()

    def do_GET(self) -> None:
        self.asked.set()
        self.answer.wait(30)
        super().do_GET()


def test_an_http_camera_may_take_longer_to_open_than_it_may_be_silent() -> None:
    with (
        web_server(SlowMjpegCamera) as address,
        RunningFeed(f"{address}/video.mjpg", timeout="200ms", open_timeout="30s") as running,
    ):
        assert SlowMjpegCamera.asked.wait(10)
        asked = time.monotonic()
        eventually(lambda: time.monotonic() - asked > 5 * 0.2)
        SlowMjpegCamera.answer.set()
        running.wait_for(1)
        assert running.record.states[0] is FeedState.LIVE, "the first attempt succeeded"


def test_a_feed_that_waits_for_its_next_attempt_stops_at_once() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"rtsp://127.0.0.1:{unused.getsockname()[1]}/a"
        with RunningFeed(address, reconnect={"initial_delay": "60s", "max_delay": "60s"}) as running:
            eventually(lambda: running.feed.status.state is FeedState.WAITING, 5.0)
            began = time.monotonic()
            assert running.feed.stop(deadline=30.0)
            assert time.monotonic() - began < 10
    assert running.record.losses == [Reason.REFUSED]
    assert running.feed.status.state is FeedState.STOPPED


def test_a_camera_that_stays_away_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "sightd.daemon.capture")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with RunningFeed(f"rtsp://127.0.0.1:{unused.getsockname()[1]}/a") as running:
            eventually(lambda: len(running.record.losses) >= 3, 10.0)
    loud = [record.getMessage() for record in caplog.records if record.levelname != "DEBUG"]
    assert len([text for text in loud if "no connection" in text]) == 1
    assert not [text for text in loud if text.endswith(("connecting", "waiting"))]
    assert any("3 attempts in" in record.getMessage() for record in caplog.records)


def test_a_name_that_cannot_be_resolved_is_named_as_the_reason() -> None:
    with RunningFeed("rtsp://camera.invalid/a") as running:
        eventually(lambda: running.record.losses != [], 30.0)
    assert running.record.losses[0] is Reason.NAME_NOT_RESOLVED


@pytest.mark.parametrize("address", ["{file}", "file://{file}", "concat:{file}", "subfile,,start,0,end,0,,:{file}"])
def test_a_playlist_from_the_network_shows_no_file_of_this_machine(tmp_path: Path, address: str) -> None:
    """Data from the network must not make the daemon show local files."""
    (tmp_path / "served").mkdir()
    write_clip(tmp_path / "private.ts", size=(320, 240), frames=25)
    named = address.format(file=tmp_path / "private.ts")
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\n{named}\n#EXT-X-ENDLIST\n"
    (tmp_path / "served/list.m3u8").write_text(playlist)
    handler = functools.partial(Folder, directory=str(tmp_path / "served"))
    with web_server(handler) as web, RunningFeed(f"{web}/list.m3u8") as running:
        eventually(lambda: len(running.record.losses) > 0, 20.0)
        assert running.frames == []
