"""Frames read from files."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from sightd.daemon.tools.media import Item, MediaError, contents, frames, length, prefetch, sequences
from tests.support import hostile_images
from tests.support.clips import CLOCKWISE, corners, quadrants, write_film, write_with_cover
from tests.support.waiting import eventually


def write_picture(path: Path, value: int = 0, size: tuple[int, int] = (32, 24)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((size[1], size[0], 3), value, np.uint8))
    return path


def write_video(path: Path, count: int, fps: int = 10) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for n in range(count):
            image = np.full((48, 64, 3), n * 10 % 256, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode(None))
    return path


def read_all(path: Path) -> list[Item]:
    """Returns all items. Raises the first error."""
    items = []
    for sequence in sequences(path):
        for item in frames(sequence):
            if isinstance(item, MediaError):
                raise item
            items.append(item)
    return items


def test_a_video_gives_every_frame_with_its_time(tmp_path: Path) -> None:
    [sequence] = sequences(write_video(tmp_path / "a.mp4", count=12, fps=10))
    items = read_all(tmp_path)
    assert [item.frame.seq for item in items] == list(range(12))
    assert [item.frame.pts for item in items] == pytest.approx([n / 10 for n in range(12)])
    assert items[0].frame.host().shape == (48, 64, 3)
    assert length(sequence) == 12


def test_a_folder_of_pictures_is_one_sequence_in_the_order_people_count(tmp_path: Path) -> None:
    for n in (10, 9, 1):
        write_picture(tmp_path / f"frame{n}.png", value=n)
    assert len(sequences(tmp_path)) == 1
    items = read_all(tmp_path)
    assert [int(item.frame.host()[0, 0, 0]) for item in items] == [1, 9, 10]
    assert [Path(item.source).name for item in items] == ["frame1.png", "frame9.png", "frame10.png"]
    assert [item.frame.seq for item in items] == [0, 1, 2]
    times = [item.frame.captured_at for item in items]
    assert times == sorted(set(times))


def test_folders_below_and_videos_in_them_are_sequences_of_their_own(tmp_path: Path) -> None:
    write_picture(tmp_path / "one" / "1.jpg")
    write_picture(tmp_path / "two" / "1.jpg")
    write_video(tmp_path / "two" / "film.mkv", count=2)
    names = [Path(sequence.name).relative_to(tmp_path).as_posix() for sequence in sequences(tmp_path)]
    assert names == ["one", "two", "two/film.mkv"]


def test_names_that_mix_letters_and_digits_can_be_sorted(tmp_path: Path) -> None:
    for name in ("1.png", "a.png", "a1.png", "1a.png", "1²3.png", "²1.png", "٣.png"):
        write_picture(tmp_path / name)
    assert len(list(frames(sequences(tmp_path)[0]))) == 7


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("missing.mp4", None, "no such file"),
        ("empty.png", b"", "the file is empty"),
        ("broken.jpg", b"\xff\xd8\xff nonsense", "not a readable image"),
        ("broken.mp4", b"nonsense" * 100, "not a video or image"),
        ("text.txt", b"hello", "not a video or image"),
        ("notes.md", b"# Notes\n" * 500, "not a video or image"),
        ("empty.mp4", b"", "not a video or image"),
        ("large.gif", hostile_images.gif((50000, 50000), (1, 1)), "larger than 36 million pixels"),
    ],
)
def test_a_missing_or_broken_source_is_reported(tmp_path: Path, name: str, content: bytes | None, told: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MediaError, match=told) as raised:
        read_all(path)
    assert name in str(raised.value)


def test_an_address_is_no_file_and_is_not_quoted() -> None:
    with pytest.raises(MediaError, match=r"rtsp://…: is a URL, .* `sightd run`") as raised:
        sequences(Path("rtsp://user:geheim@192.0.2.1/x"))
    assert "geheim" not in str(raised.value)


def test_an_empty_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no image or video"):
        sequences(tmp_path)


def test_a_broken_picture_among_others_is_reported_in_its_place_and_the_others_keep_their_numbers(
    tmp_path: Path,
) -> None:
    write_picture(tmp_path / "1.png")
    (tmp_path / "2.png").write_bytes(b"nonsense")
    write_picture(tmp_path / "3.png")
    first, second, third = frames(sequences(tmp_path)[0])
    assert isinstance(first, Item)
    assert isinstance(second, MediaError)
    assert "2.png" in str(second)
    assert isinstance(third, Item)
    assert third.frame.seq == 2


def test_a_video_with_a_damaged_packet_gives_its_other_frames_and_tells_that_some_are_missing(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.avi", count=20)
    with av.open(str(whole)) as source, av.open(str(tmp_path / "damaged.avi"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(source.streams.video[0])):
            if packet.dts is None:
                continue
            copy = av.Packet(b"\xff" * 40 if number == 9 else bytes(packet))
            copy.pts, copy.dts, copy.time_base, copy.stream = packet.pts, packet.dts, packet.time_base, stream
            copy.is_keyframe = packet.is_keyframe
            target.mux(copy)
    *items, fault = frames(sequences(tmp_path / "damaged.avi")[0])
    assert isinstance(fault, MediaError)
    assert "1 packets" in str(fault)
    assert len(items) >= 18
    assert all(isinstance(item, Item) for item in items)


def test_a_name_with_a_colon_is_a_file_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "a.mp4", count=3).rename(tmp_path / "12:30.mp4")
    monkeypatch.chdir(tmp_path)
    assert len(read_all(Path("12:30.mp4"))) == 3


def test_files_that_are_left_out_of_a_folder_are_named_with_the_reason(tmp_path: Path) -> None:
    write_picture(tmp_path / "1.png")
    for name in ("notes.txt", "README", *(f"{number}.xml" for number in range(8))):
        (tmp_path / "below" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "below" / name).write_text("no picture")
    found = contents(tmp_path)
    assert [sequence.name for sequence in found.sequences] == [str(tmp_path)]
    told = "\n".join(found.left_out)
    assert f"{tmp_path}/below/notes.txt: skipped, .txt is not a known image or video suffix" in told
    assert "README: skipped, the file name has no suffix" in told
    assert f"{tmp_path}/below: skipped 3 more files: .xml is not" in told
    assert len(found.left_out) == 8


def test_a_folder_without_pictures_names_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(MediaError, match=r"this folder contains no image or video\n.*notes\.txt: skipped"):
        contents(tmp_path)


def test_a_folder_that_may_not_be_read_is_left_out_and_named(tmp_path: Path) -> None:
    write_picture(tmp_path / "1.png")
    (tmp_path / "closed").mkdir(mode=0)
    try:
        if os.access(tmp_path / "closed", os.R_OK):
            pytest.skip("root can read every file")
        assert any("closed: skipped, Permission denied" in line for line in contents(tmp_path).left_out)
    finally:
        (tmp_path / "closed").chmod(0o700)


def test_folders_that_link_in_a_circle_are_read_once(tmp_path: Path) -> None:
    write_picture(tmp_path / "yard" / "1.png")
    (tmp_path / "yard" / "again").symlink_to(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "yard")
    assert len(read_all(tmp_path)) == 1


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".gif", ".jp2", ".avif", ".webp", ".tif", ".JPG"])
def test_every_format_that_can_be_decoded_is_read(tmp_path: Path, suffix: str) -> None:
    plain = {".jfif": ".jpg", ".jpe": ".jpg"}.get(suffix, suffix.lower())
    image = np.full((48, 64, 3), 77, np.uint8)
    (tmp_path / f"a{suffix}").write_bytes(cv2.imencode(plain, image)[1].tobytes())
    [item] = read_all(tmp_path)
    assert item.frame.host().shape == (48, 64, 3)
    assert int(item.frame.host()[20, 20, 1]) == pytest.approx(77, abs=8)


def test_heic_is_refused_with_what_to_do_and_not_half_read(tmp_path: Path) -> None:
    write_picture(tmp_path / "1.png")
    (tmp_path / "IMG.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 100)
    [first, second] = frames(sequences(tmp_path)[0])
    assert isinstance(first, Item)
    assert isinstance(second, MediaError)
    assert str(second).endswith("IMG.HEIC: HEIC images are not supported: convert it to JPEG")
    with pytest.raises(MediaError, match="HEIC images are not supported"):
        read_all(tmp_path / "IMG.HEIC")


def test_every_frame_of_an_animated_gif_is_read(tmp_path: Path) -> None:
    film = write_film(tmp_path / "a.gif", [quadrants(96, 64)] * 3, codec="gif")
    assert len(read_all(film)) == 3


def test_a_turned_video_is_analysed_upright_with_square_pixels(tmp_path: Path) -> None:
    film = write_film(tmp_path / "a.mp4", [quadrants(360, 288)] * 3, matrix=CLOCKWISE, aspect=Fraction(64, 45))
    items = read_all(film)
    assert [(item.frame.width, item.frame.height) for item in items] == [(288, 512)] * 3
    assert corners(items[0].frame.host()) == [2, 0, 3, 1]


def test_a_cover_picture_is_not_analysed(tmp_path: Path) -> None:
    film = write_with_cover(tmp_path / "a.mp4", [quadrants(96, 64)] * 4)
    assert [item.frame.width for item in read_all(film)] == [96] * 4
    assert length(sequences(film)[0]) == 4


def test_a_file_with_audio_only_says_so(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"song\.mp4: it has no video, only audio"):
        read_all(write_with_cover(tmp_path / "song.mp4", [], audio_only=True))


def test_the_times_of_an_avi_with_b_frames_rise_at_its_own_rate(tmp_path: Path) -> None:
    options = {"bf": "2", "b_strategy": "0"}
    film = write_film(tmp_path / "a.avi", [quadrants(96, 64)] * 50, fps=25, options=options)
    times = [item.frame.captured_at for item in read_all(film)]
    assert times[-1] - times[0] == pytest.approx(49 / 25, abs=0.001)
    assert min(np.diff(times)) > 0


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".flv"])
def test_a_video_that_was_cut_off_says_how_much_is_missing(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 64, 96, 3), np.uint8)
    options = {"movflags": "faststart"} if suffix == ".mp4" else {}
    whole = write_film(tmp_path / f"whole{suffix}", noise, container_options=options)
    assert len(read_all(whole)) == 60
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    *items, fault = frames(sequences(cut)[0])
    assert 10 < len(items) < 40
    assert isinstance(fault, MediaError)
    declared = "60" if suffix == ".mp4" else r"6\.\d s"
    assert re.search(f"frames are missing: {declared} declared, ", str(fault))


def test_a_video_without_its_index_says_so(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.mp4", count=20)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(MediaError, match=r"cut\.mp4: the index is missing: .* interrupted"):
        read_all(cut)


def test_frames_that_the_decoder_flags_as_damaged_are_counted(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 64, 96, 3), np.uint8)
    whole = write_film(tmp_path / "whole.mp4", noise, options={"g": "20"})
    with av.open(str(whole)) as container:
        places = [(packet.pos or 0, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(whole.read_bytes())
    position, size = places[5]
    data[position + size // 2 : position + size] = b"\x55" * (size - size // 2)
    (tmp_path / "damaged.mp4").write_bytes(data)
    *items, fault = frames(sequences(tmp_path / "damaged.mp4")[0])
    assert isinstance(fault, MediaError)
    assert re.search(r"[1-9]\d* frames are damaged", str(fault))
    assert len(items) >= 19


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")  # nobody writes: reading it would block
    for path, kind in ((tmp_path / "pipe.mp4", "a named pipe"), (Path("/dev/zero"), "a character device")):
        with pytest.raises(MediaError, match=f"{kind}, not a regular file"):
            contents(path)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_variable_frame_rate_keeps_its_times(tmp_path: Path, suffix: str) -> None:
    path, times = tmp_path / f"a{suffix}", [0.0, 0.04, 0.5, 2.0, 2.1, 6.0]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "2"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for time in times:
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 99, np.uint8), format="bgr24")
            frame.pts, frame.time_base = round(time * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert [item.frame.captured_at for item in read_all(path)] == pytest.approx(times, abs=0.002)


def test_a_stream_without_times_is_read_at_its_rate(tmp_path: Path) -> None:
    film = write_film(tmp_path / "a.h264", [quadrants(96, 64)] * 10, fps=25, options={"bf": "2"})
    items = read_all(film)
    assert [item.frame.captured_at for item in items] == pytest.approx([number / 25 for number in range(10)])


def test_gives_the_same_items_in_the_same_order() -> None:
    assert list(prefetch(iter(range(100)), depth=3)) == list(range(100))


def test_an_error_comes_after_the_items_before_it() -> None:
    def broken() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("frame 3 is broken")

    items = prefetch(broken())
    assert next(items) == 1
    assert next(items) == 2
    with pytest.raises(ValueError, match="frame 3"):
        next(items)


def test_is_bounded() -> None:
    made = []

    def counting() -> Iterator[int]:
        for n in range(1000):
            made.append(n)
            yield n

    items = prefetch(counting(), depth=4)
    next(items)
    eventually(lambda: len(made) >= 5)
    assert len(made) <= 7
    items.close()  # type: ignore[attr-defined]


def test_closes_the_items_when_given_up() -> None:
    closed_by: list[str] = []

    def counting() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            closed_by.append(threading.current_thread().name)

    source = counting()  # referred to here: nothing but `close` ends it
    items = prefetch(source, depth=2)
    next(items)
    items.close()  # type: ignore[attr-defined]
    assert closed_by == ["read-ahead"]


def test_leaves_no_thread_behind_when_given_up() -> None:
    items = prefetch(iter(range(1000)), depth=2)
    next(items)
    items.close()  # type: ignore[attr-defined]
    assert not any(thread.name == "read-ahead" for thread in threading.enumerate())
