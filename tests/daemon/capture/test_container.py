"""Which stream of a container is used, and the message if there is none."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from sightd.daemon.capture import stream as module
from sightd.daemon.capture.errors import Reason, SourceError
from sightd.daemon.capture.stream import video_of
from tests.support.clips import quadrants, write_film, write_with_cover


def test_a_cover_picture_is_not_the_video(tmp_path: Path) -> None:
    with av.open(str(write_with_cover(tmp_path / "a.mp4", [quadrants(96, 64)] * 3))) as opened:
        assert opened.streams.video[0].name == "mjpeg"
        assert video_of(opened).name == "h264"


def test_a_stream_marked_default_wins(tmp_path: Path) -> None:
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as target:
        first, second = (target.add_stream("libx264", rate=10) for _ in range(2))
        for stream, width in ((first, 64), (second, 128)):
            stream.width, stream.height, stream.pix_fmt = width, 64, "yuv420p"
        first.disposition, second.disposition = av.stream.Disposition(0), av.stream.Disposition.default
        for stream in (first, second):
            picture = np.zeros((64, stream.width, 3), np.uint8)
            target.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
            target.mux(stream.encode(None))
    with av.open(str(path)) as opened:
        assert [stream.width for stream in opened.streams.video] == [64, 128]
        assert video_of(opened).width == 128


def test_a_source_without_video_is_refused_in_words(tmp_path: Path) -> None:
    path = write_with_cover(tmp_path / "song.mp4", [], audio_only=True)
    with av.open(str(path)) as opened, pytest.raises(SourceError) as told:
        video_of(opened)
    assert told.value.reason is Reason.NO_VIDEO
    assert told.value.detail == "it has no video, only audio and attached pictures"


def test_frames_of_too_many_pixels_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PIXELS", 96 * 64 - 1)
    path = write_film(tmp_path / "a.mp4", [quadrants(96, 64)])
    with av.open(str(path)) as opened, pytest.raises(SourceError, match="96x64 pixels"):
        video_of(opened)


def test_a_heic_image_is_refused_by_its_content(tmp_path: Path) -> None:
    """FFmpeg reads it as MP4 and would show its first tile."""
    path = write_film(tmp_path / "a.mp4", [quadrants(96, 64)])
    path.write_bytes(path.read_bytes().replace(b"ftypisom", b"ftypheic", 1))
    with av.open(str(path)) as opened, pytest.raises(SourceError, match="HEIC images are not supported"):
        video_of(opened)
