"""A feed on files and on the test pattern."""

from __future__ import annotations

import itertools
import os
import socket
import time
from fractions import Fraction
from pathlib import Path

import cv2
import pytest

from sightd.daemon.capture import stream as stream_module
from sightd.daemon.capture.errors import Reason
from sightd.daemon.capture.reconnect import FeedState
from tests.support.clips import (
    CLOCKWISE,
    corners,
    display_matrix,
    quadrants,
    with_exif_orientation,
    write_clip,
    write_film,
    write_with_cover,
)
from tests.support.feeds import RunningFeed
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of 25 frames, one second."""
    return write_clip(tmp_path_factory.mktemp("clip") / "street.mp4", size=(320, 240), frames=25)


def test_a_file_is_played_in_real_time_and_begun_again_without_a_break(clip: Path) -> None:
    with RunningFeed(str(clip)) as running:
        running.wait_for(60)
        frames = list(running.frames)[:60]
        numbers = [bar.number for bar in running.bars()][:60]
    assert numbers == [*range(25), *range(25), *range(10)]
    assert frames[-1][0] - frames[0][0] == pytest.approx(59 / 25, abs=0.2)
    times = [frame.pts for _, frame in frames if frame.pts is not None]
    assert [later - earlier for earlier, later in itertools.pairwise(times)] == pytest.approx([0.04] * 59, abs=1e-3)
    assert running.record.states == [FeedState.LIVE, FeedState.STOPPED]


def test_a_file_that_does_not_loop_ends_after_its_last_picture(clip: Path) -> None:
    with RunningFeed(str(clip), loop=False) as running:
        eventually(lambda: running.feed.status.state is FeedState.ENDED, 5.0)
        assert len(running.frames) == 25
    assert running.record.losses == []


def test_a_missing_file_is_waited_for(clip: Path, tmp_path: Path) -> None:
    late = tmp_path / "late.mp4"
    with RunningFeed(str(late)) as running:
        eventually(lambda: Reason.NOT_FOUND in running.record.losses, 5.0)
        clip_copy = tmp_path / "copy.mp4"
        clip_copy.write_bytes(clip.read_bytes())
        clip_copy.rename(late)
        running.wait_for(3, within=5.0)


def test_a_file_that_is_no_video_is_named_so(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no video at all\n" * 50)
    with RunningFeed(str(text)) as running:
        eventually(lambda: running.record.losses != [], 5.0)
    assert running.record.losses[0] is Reason.NO_VIDEO


def test_pictures_that_would_fill_the_memory_are_not_read(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "MOST_PIXELS", 320 * 240 - 1)
    with RunningFeed(str(clip)) as running:
        eventually(lambda: Reason.NO_VIDEO in running.record.losses, 5.0)
        assert running.frames == []


def test_pictures_that_grow_later_are_not_read_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "MOST_PIXELS", 320 * 240)
    small = write_clip(tmp_path / "small.ts", size=(320, 240), frames=25)
    large = write_clip(tmp_path / "large.ts", size=(640, 480), frames=25)
    both = tmp_path / "both.ts"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    with RunningFeed(str(both), loop=False) as running:
        eventually(lambda: running.feed.status.state is not FeedState.LIVE and len(running.frames) >= 24, 10.0)
        assert {(frame.width, frame.height) for _, frame in running.frames} == {(320, 240)}


def test_a_file_stops_at_once(clip: Path) -> None:
    with RunningFeed(str(clip)) as running:
        running.wait_for(3)
        began = time.monotonic()
        assert running.feed.stop(deadline=5.0)
        assert time.monotonic() - began < 3


def test_the_test_pattern_comes_at_its_size_and_rate() -> None:
    with RunningFeed("testpattern://", width=320, height=240, fps=50) as running:
        frames = running.wait_for(51)
        received = [at for at, _ in running.frames][:51]
    assert received[-1] - received[0] == pytest.approx(1.0, abs=0.15)
    assert frames[0].host().shape == (240, 320, 3)
    assert (frames[0].host() != frames[25].host()).any()


def test_a_listener_that_fails_does_not_end_the_feed(clip: Path) -> None:
    running = RunningFeed(str(clip))
    calls = itertools.count()

    def fails_once(camera: str, state: FeedState) -> None:
        if next(calls) == 0:
            raise RuntimeError("a defect of the listener")

    running.record.state_changed = fails_once  # type: ignore[method-assign]
    with running:
        running.wait_for(3)
    assert next(calls) >= 2, "it is called again after it failed"


@pytest.mark.parametrize(
    ("matrix", "size", "seen"),
    [
        (None, (96, 64), [0, 1, 2, 3]),
        (CLOCKWISE, (64, 96), [2, 0, 3, 1]),
        (display_matrix(-1, 0, 0, -1), (96, 64), [3, 2, 1, 0]),
        (display_matrix(0, -1, 1, 0), (64, 96), [1, 3, 0, 2]),
        (display_matrix(-1, 0, 0, 1), (96, 64), [1, 0, 3, 2]),
    ],
    ids=["as decoded", "clockwise", "upside down", "counterclockwise", "mirrored"],
)
def test_a_film_is_shown_upright(
    tmp_path: Path, matrix: list[int] | None, size: tuple[int, int], seen: list[int]
) -> None:
    film = write_film(tmp_path / "phone.mp4", [quadrants(96, 64)] * 3, matrix=matrix)
    with RunningFeed(str(film), loop=False) as running:
        frames = running.wait_for(3)
    assert {(frame.width, frame.height) for frame in frames} == {size}
    assert [corners(frame.host()) for frame in frames] == [seen] * 3
    assert frames[0].host().shape == (size[1], size[0], 3)


def test_a_film_of_oblong_pixels_is_shown_with_square_ones(tmp_path: Path) -> None:
    film = write_film(tmp_path / "pal.mp4", [quadrants(360, 288)] * 2, aspect=Fraction(64, 45))
    with RunningFeed(str(film), loop=False) as running:
        frames = running.wait_for(2)
    assert (frames[0].width, frames[0].height) == (512, 288)
    assert frames[0].host().shape == (288, 512, 3)
    assert corners(frames[0].host()) == [0, 1, 2, 3]


def test_an_aspect_ratio_that_changes_within_a_stream_is_followed(tmp_path: Path) -> None:
    parts = [
        write_film(tmp_path / f"{number}.ts", [quadrants(360, 288)] * 5, aspect=aspect)
        for number, aspect in enumerate((Fraction(64, 45), Fraction(16, 15)))
    ]
    film = tmp_path / "both.ts"
    film.write_bytes(b"".join(part.read_bytes() for part in parts))
    with RunningFeed(str(film), loop=False) as running:
        eventually(lambda: running.feed.status.state is FeedState.ENDED, 10.0)
    assert [frame.width for _, frame in running.frames] == [512] * 5 + [384] * 5


def test_an_avi_with_b_frames_plays_at_its_own_rate(tmp_path: Path) -> None:
    film = write_film(
        tmp_path / "film.avi", [quadrants(96, 64)] * 50, fps=25, options={"bf": "2", "b_strategy": "0", "g": "50"}
    )
    with RunningFeed(str(film), loop=False) as running:
        eventually(lambda: running.feed.status.state is FeedState.ENDED, 20.0)
    times = [frame.pts for _, frame in running.frames if frame.pts is not None]
    assert len(times) == 50
    assert times[-1] - times[0] == pytest.approx(49 / 25, abs=0.001)
    assert [later - earlier for earlier, later in itertools.pairwise(times)] == pytest.approx([0.04] * 49, abs=1e-3)


def test_a_cover_picture_is_not_played(tmp_path: Path) -> None:
    film = write_with_cover(tmp_path / "cover.mp4", [quadrants(96, 64)] * 4)
    with RunningFeed(str(film), loop=False) as running:
        eventually(lambda: running.feed.status.state is FeedState.ENDED, 10.0)
    assert [(frame.width, frame.height) for _, frame in running.frames] == [(96, 64)] * 4


def test_a_source_with_audio_only_says_so(tmp_path: Path) -> None:
    song = write_with_cover(tmp_path / "song.mp4", [], audio_only=True)
    with RunningFeed(str(song)) as running:
        eventually(lambda: running.record.losses != [], 5.0)
        told = running.feed.status.last_error
    assert running.record.losses[0] is Reason.NO_VIDEO
    assert told is not None
    assert "it has no video, only audio" in told


@pytest.mark.parametrize("name", ["one.mp4", "one.jpg", "one.png"])
def test_a_single_picture_is_shown_once_a_second(tmp_path: Path, name: str) -> None:
    if name == "one.mp4":
        film = write_film(tmp_path / name, [quadrants(96, 64)], fps=1000)
    else:
        film = tmp_path / name
        cv2.imwrite(str(film), quadrants(96, 64))
    with RunningFeed(str(film)) as running:
        frames = running.wait_for(3)
    assert [frame.pts for frame in frames] == [0.0, 1.0, 2.0]
    assert running.record.states == [FeedState.LIVE, FeedState.STOPPED]
    assert corners(running.frames[0][1].host()) == [0, 1, 2, 3]


def test_a_photograph_is_shown_upright_as_its_exif_data_say(tmp_path: Path) -> None:
    photo = tmp_path / "phone.jpg"
    photo.write_bytes(with_exif_orientation(cv2.imencode(".jpg", quadrants(96, 64))[1].tobytes(), 6))
    with RunningFeed(str(photo)) as running:
        [frame] = running.wait_for(1)
    assert (frame.width, frame.height) == (64, 96)
    assert corners(frame.host()) == [2, 0, 3, 1]


@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "directory"])
def test_what_is_no_file_is_reported_and_not_waited_for(kind: str, tmp_path: Path) -> None:
    path = Path("/dev/zero") if kind == "device" else tmp_path / kind
    with socket.socket(socket.AF_UNIX) as server:
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "socket":
            server.bind(str(path))
        elif kind == "directory":
            path.mkdir()
        with RunningFeed(str(path)) as running:
            eventually(lambda: running.record.losses != [], 5.0)
            assert running.record.losses[0] is Reason.NOT_READABLE
            assert "not a regular file" in (running.feed.status.last_error or "")


def test_a_file_that_may_not_be_read_is_not_called_a_refused_login(clip: Path, tmp_path: Path) -> None:
    unreadable = tmp_path / "private.mp4"
    unreadable.write_bytes(clip.read_bytes())
    unreadable.chmod(0)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        with RunningFeed(str(unreadable)) as running:
            eventually(lambda: running.record.losses != [], 5.0)
    finally:
        if root:
            os.seteuid(0)
    assert running.record.losses[0] is Reason.NOT_READABLE
    assert "Permission denied" in (running.feed.status.last_error or "")


def test_a_missing_camera_device_is_not_found() -> None:
    with RunningFeed("/dev/video99") as running:
        eventually(lambda: running.record.losses != [], 5.0)
        assert running.record.losses[0] is Reason.NOT_FOUND
