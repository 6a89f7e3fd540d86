"""Files become frames: every one, in order, with a clear word where something is missing or broken."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from daemon.analyze.media import Item, MediaError, frames, length, sequences


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
    """All items; the first fault is raised."""
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
    for name in ("1.png", "a.png", "a1.png", "1a.png"):
        write_picture(tmp_path / name)
    assert len(list(frames(sequences(tmp_path)[0]))) == 4


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("missing.mp4", None, "no such file"),
        ("empty.png", b"", "not an image"),
        ("broken.jpg", b"\xff\xd8\xff nonsense", "not an image"),
        ("broken.mp4", b"nonsense" * 100, "not a video or picture"),
        ("text.txt", b"hello", "not a video or picture"),
        ("notes.md", b"# Notes\n" * 500, "not a video or picture"),
        ("empty.mp4", b"", "not a video or picture"),
    ],
)
def test_a_missing_or_broken_source_is_told(tmp_path: Path, name: str, content: bytes | None, told: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MediaError, match=told) as raised:
        read_all(path)
    assert name in str(raised.value)


def test_an_address_is_no_file_and_is_not_quoted() -> None:
    with pytest.raises(MediaError, match=r"rtsp://…: an address, .* `sightd run`") as raised:
        sequences(Path("rtsp://user:geheim@192.0.2.1/x"))
    assert "geheim" not in str(raised.value)


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no picture or video"):
        sequences(tmp_path)


def test_a_broken_picture_among_others_is_told_in_its_place_and_the_others_keep_their_numbers(tmp_path: Path) -> None:
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
    assert "1 of its packets" in str(fault)
    assert len(items) >= 18
    assert all(isinstance(item, Item) for item in items)


def test_a_name_with_a_colon_is_a_file_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "a.mp4", count=3).rename(tmp_path / "12:30.mp4")
    monkeypatch.chdir(tmp_path)
    assert len(read_all(Path("12:30.mp4"))) == 3
