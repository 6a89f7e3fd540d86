"""An address is tried: a picture and the facts of the stream, or the reason why there is none."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from sightd.daemon.capture import probe as module
from sightd.daemon.capture.audio import AudioFormat
from sightd.daemon.capture.errors import Reason, SourceError
from sightd.daemon.capture.probe import probe
from sightd.daemon.config.model import Camera
from tests.support.camera import CameraSimulator, Look, need_rtsp_server
from tests.support.waiting import BUSY
from tests.support.web_camera import answer, endless, web_camera

pytestmark = pytest.mark.waiting


def camera_at(source: str) -> Camera:
    return Camera.model_validate({"source": source})


@pytest.fixture(scope="module")
def camera() -> Iterator[CameraSimulator]:
    need_rtsp_server()
    with CameraSimulator(Look(size=(320, 180), fps=25, audio="alaw"), user="admin", password="se cret@1") as camera:
        yield camera


def test_an_rtsp_camera_shows_a_picture_codec_rate_key_frames_and_sound(
    camera: CameraSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WATCHING", 60.0)
    seen = probe(camera_at(camera.address()))
    assert (seen.size, seen.codec) == ((320, 180), "h264")
    assert seen.fps is not None
    assert 0 < seen.fps < 30
    assert seen.key_interval is not None
    assert seen.key_interval > 0.5
    assert seen.audio == AudioFormat("pcm_alaw", 8000, 1)
    picture = cv2.imdecode(np.frombuffer(seen.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (180, 320, 3)
    assert picture.std() > 10


def test_a_large_picture_is_shown_smaller() -> None:
    options = camera_at("testpattern://").model_copy(update={"width": 2560, "height": 720, "fps": 240})
    seen = probe(options)
    picture = cv2.imdecode(np.frombuffer(seen.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert (seen.size, picture.shape) == ((2560, 720), (360, 1280, 3))


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"password": "wrong-password"}, Reason.UNAUTHORISED), ({"mount": 9}, Reason.NOT_FOUND)],
)
def test_why_there_is_no_picture_is_said_without_the_password(
    camera: CameraSimulator, change: dict[str, str], reason: Reason
) -> None:
    with pytest.raises(SourceError) as error:
        probe(camera_at(camera.address(**change)))  # type: ignore[arg-type]
    assert error.value.reason is reason
    assert "wrong-password" not in str(error.value)


def test_a_camera_that_is_off_is_said() -> None:
    with pytest.raises(SourceError) as error:
        probe(camera_at("rtsp://127.0.0.1:9/stream"))
    assert error.value.reason is Reason.REFUSED


def test_mjpeg_has_no_key_frames() -> None:
    picture = cv2.imencode(".jpg", np.full((90, 160, 3), 90, np.uint8))[1].tobytes()

    def film(_request: object) -> Iterator[bytes]:
        yield endless("multipart/x-mixed-replace; boundary=b")
        for _ in range(200):
            yield b"--b\r\nContent-Type: image/jpeg\r\n\r\n" + picture + b"\r\n"
            time.sleep(0.05)

    with web_camera(film) as camera:
        seen = probe(camera_at(camera.url("/film")))
    assert (seen.size, seen.codec, seen.key_interval, seen.audio) == ((160, 90), "mjpeg", None, None)
    assert seen.fps is not None


def test_a_web_page_is_no_camera() -> None:
    with web_camera(lambda _request: [answer(b"<html>", "text/html")]) as camera, pytest.raises(SourceError) as error:
        probe(camera_at(camera.url("/")))
    assert error.value.reason is Reason.NO_VIDEO


def test_a_client_that_leaves_ends_it(camera: CameraSimulator) -> None:
    cancelled = threading.Event()
    cancelled.set()
    began = time.monotonic()
    with pytest.raises(SourceError):
        probe(camera_at(camera.address()), cancelled)
    assert time.monotonic() - began < BUSY


def test_a_stream_without_pictures_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OPENING", 0.3)
    monkeypatch.setattr(module, "WATCHING", 0.3)
    left = threading.Event()

    def silence(_request: object) -> Iterator[bytes]:
        yield endless("multipart/x-mixed-replace; boundary=b")
        left.wait(20)

    began = time.monotonic()
    try:
        with web_camera(silence) as camera, pytest.raises(SourceError):
            probe(camera_at(camera.url("/")).model_copy(update={"timeout": 0.3}))
    finally:
        left.set()
    assert time.monotonic() - began < 2 + BUSY
