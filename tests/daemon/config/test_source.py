"""What a camera's address means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import pytest
from pydantic import SecretStr

from sightd.daemon.config.model import Camera
from sightd.daemon.config.source import InvalidSourceError, Source, SourceKind, source_of


def source(address: str, **options: Any) -> Source:
    return source_of(Camera(source=SecretStr(address), **options))


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("rtsp://10.0.0.7/stream1", SourceKind.RTSP),
        ("RTSPS://[fe80::1]:322/a", SourceKind.RTSP),
        ("http://cam/video.mjpg", SourceKind.HTTP),
        ("https://host:8443/live/index.m3u8?x=1", SourceKind.HTTP),
        ("clips/street.mp4", SourceKind.FILE),
        ("/srv/video/a b:c.mp4", SourceKind.FILE),
        ("file:///srv/video/a.mp4", SourceKind.FILE),
        ("/dev/video0", SourceKind.DEVICE),
        ("testpattern://", SourceKind.PATTERN),
    ],
)
def test_an_address_tells_the_kind_of_source(address: str, kind: SourceKind) -> None:
    assert source(address).kind is kind


def test_rtsp_goes_over_the_chosen_transport_and_never_discards_the_first_key_frame() -> None:
    for transport in ("tcp", "udp"):
        found = source("rtsp://host/a", transport=transport)
        options = found.options
        assert found.transport == options["rtsp_transport"] == transport
        assert "fflags" not in options


def test_live_sources_have_a_timeout_and_files_and_patterns_have_none() -> None:
    for address in ("rtsp://h/a", "http://h/a", "/dev/video0"):
        assert source(address, timeout="2s").timeout == 2.0
    for address in ("a.mp4", "testpattern://"):
        assert source(address).timeout is None


def test_what_may_be_slow_to_open_has_a_limit_of_its_own() -> None:
    for address in ("rtsp://h/a", "http://h/a", "/dev/video0"):
        assert source(address, timeout="2s", open_timeout="7s").open_timeout == 7.0
    for address in ("a.mp4", "testpattern://"):
        assert source(address).open_timeout is None


def test_a_file_is_played_in_real_time_and_loops_unless_disabled() -> None:
    assert source("a.mp4").paced
    assert source("a.mp4").loop
    assert not source("a.mp4", loop=False).loop


def test_a_file_name_is_never_read_as_a_protocol() -> None:
    assert source("concat:a.mp4").address == "file:concat:a.mp4"


def test_a_home_folder_is_resolved() -> None:
    assert source("~/a.mp4").address == f"file:{Path.home()}/a.mp4"


def test_a_device_is_asked_for_size_rate_and_format() -> None:
    device = source("/dev/video2?input_format=mjpeg", width=1280, height=720, fps=30)
    assert device.address == "/dev/video2"
    assert device.options == {"input_format": "mjpeg", "video_size": "1280x720", "framerate": "30"}
    assert device.format is not None
    av.ContainerFormat(device.format, "r")  # raises if FFmpeg was built without it


def test_a_device_decides_what_is_not_asked_for() -> None:
    assert source("/dev/video0").options == {}


def test_the_test_pattern_has_the_size_and_rate_asked_for() -> None:
    pattern = source("testpattern://", width=640, height=360, fps=10)
    assert (pattern.width, pattern.height, pattern.fps) == (640, 360, 10)
    plain = source("testpattern://")
    assert (plain.width, plain.height, plain.fps) == (1280, 720, 25)


@pytest.mark.parametrize(
    ("address", "advice"),
    [
        ("", "empty"),
        ("ftp://host/a.mp4", "not a supported source"),
        ("rtsp://", "has no valid host"),
        ("rtsp:///path", "has no valid host"),
        ("rtsp://host:port/path", "has no valid host and port"),
        ("rtsp://user:hunter/2@host/path", "%2F"),
        ("rtsp://user:hunter2@ho st/path", "%20"),
        *(
            (f"{scheme}://viewer:hunter{raw}@127.0.0.1:21554/stream", "%40 for @, %23 for #, %2F for /")
            for scheme in ("rtsp", "rtsps", "http", "https")
            for raw in ("@", "@ss#w/rd?", "@/", "@#", "@?", "/@x", "#@x")
        ),
        ("rtsp://viewer:#hunter@127.0.0.1/stream", "%23 for #"),
        ("rtsp://viewer:hunter#2@127.0.0.1/stream", "%23 for #"),
        ("rtsp://viewer:hunter?2@127.0.0.1/stream", "%3F"),
        ("http://hunter@ss/2@127.0.0.1/stream", "%40 for @"),
        ("rtsp://127.0.0.1/cam?user=admin&password=se#hunter", "write %23 for #"),
        ("https://127.0.0.1/snap?pwd=hunter#2&channel=1", "write %23 for #"),
        ("rtsp://viewer:hunter@127.0.0.1/a#b?c", "write %23 for #"),
        ("/dev/video0?input_fmt=mjpeg", "input_format"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_with_the_fix_and_without_the_password(
    address: str, advice: str
) -> None:
    with pytest.raises(InvalidSourceError) as refusal:
        source(address)
    assert advice in str(refusal.value)
    assert "hunter" not in str(refusal.value)


@pytest.mark.parametrize(
    "address",
    [
        "rtsp://viewer:p%40ss%23w%2Frd%3F@127.0.0.1:554/stream",
        "rtsp://127.0.0.1:554/live@main",
        "http://127.0.0.1/snap?mail=a@b.example",
        "rtsp://viewer:secret@[::1]:554/a",
        "rtsp://viewer@127.0.0.1/a",
    ],
)
def test_an_address_that_can_be_read_in_one_way_only_is_taken(address: str) -> None:
    assert source(address).address == address


def test_a_device_with_half_a_size_is_refused() -> None:
    with pytest.raises(InvalidSourceError, match="both width and height"):
        source("/dev/video0", width=640)


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_neither_repr_nor_label_shows_credentials(scheme: str) -> None:
    found = source(f"{scheme}://user:hunter2@host/path")
    assert "hunter2" in found.address
    assert "hunter2" not in repr(found) + found.label
    assert "host/path" in found.label
