"""Clips on the disk: read back with PyAV, interrupted, and on a full disk."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest

from sightd.daemon.capture.packets import ReceivedPacket
from sightd.daemon.recording.clip_file import PART, ClipFile, StreamTemplate, UnplayableError
from tests.daemon.recording.packets import FPS, GOP, encoded, packet
from tests.support.barcode import get_bar
from tests.support.small_disk import SmallDisk

pytestmark = pytest.mark.computing

_ROOT = Path(__file__).parents[3]


def template(packets: Sequence[ReceivedPacket]) -> StreamTemplate:
    return StreamTemplate("h264", packets[0].data)


def write_all(path: Path) -> None:
    file = ClipFile(path, template(encoded()), encoded())
    for one in encoded():
        file.write(one)
    file.finish()


def number_of(frame: av.VideoFrame) -> int:
    bar = get_bar(frame.to_ndarray(format="bgr24").astype(np.uint8))
    assert bar is not None
    return bar.number


@pytest.mark.parametrize(("codec", "tag"), [("h264", "avc1"), ("hevc", "hvc1")])
def test_a_clip_has_every_packet_in_order_and_plays_from_its_first_frame(tmp_path: Path, codec: str, tag: str) -> None:
    packets = encoded(codec)
    file = ClipFile(tmp_path / "a.mp4", StreamTemplate(codec, packets[0].data), packets)
    for one in packets:
        file.write(one)
    file.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    assert (tmp_path / "a.mp4").stat().st_mode & 0o777 == 0o600
    with av.open(str(tmp_path / "a.mp4")) as container:
        video = container.streams.video[0]
        assert (video.codec_context.codec_tag, video.width, video.height) == (tag, 320, 240)
        frames = list(container.decode(video))
    assert [number_of(frame) for frame in frames] == list(range(len(packets)))
    assert [round((frame.time or 0.0) * FPS) for frame in frames] == list(range(len(packets)))


def test_what_a_killed_process_wrote_plays_up_to_its_last_group_of_pictures(tmp_path: Path) -> None:
    writer = (
        "import os, sys; from pathlib import Path\n"
        "from sightd.daemon.recording.clip_file import ClipFile, StreamTemplate\n"
        "from tests.daemon.recording.packets import encoded\n"
        "packets = encoded(); file = ClipFile(Path(sys.argv[1]), StreamTemplate('h264', packets[0].data), packets)\n"
        "for one in packets[:80]: file.write(one)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", writer, str(tmp_path / "a.mp4")], cwd=_ROOT, check=False)
    with av.open(str(tmp_path / f"a.mp4{PART}")) as container:
        assert sum(1 for _ in container.decode(video=0)) == GOP


def test_a_full_disk_is_asked_for_room_and_nothing_is_lost(tmp_path: Path) -> None:
    with SmallDisk(tmp_path / "disk", 1) as disk:
        disk.fill()
        asked = []

        def make_room() -> bool:
            asked.append(1)
            disk.empty()
            return True

        packets = encoded()
        file = ClipFile(disk.path / "a.mp4", template(packets), packets, make_room)
        for one in packets:
            file.write(one)
        file.finish()
        assert asked == [1]
        with av.open(str(disk.path / "a.mp4")) as container:
            assert sum(1 for one in container.demux(video=0) if one.size) == len(packets)


def test_a_full_disk_without_anything_to_delete_is_an_error(tmp_path: Path) -> None:
    with SmallDisk(tmp_path / "disk", 1) as disk:
        disk.fill()
        with pytest.raises(OSError, match="No space left"):
            write_all(disk.path / "a.mp4")


def test_another_frame_size_does_not_fit_into_a_clip(tmp_path: Path) -> None:
    packets, others = encoded(), encoded(size=(640, 360), frames=2)
    file = ClipFile(tmp_path / "a.mp4", template(packets), packets)
    assert all(file.fits(one) for one in packets)
    assert not file.fits(others[0])
    file.abandon()


def test_a_key_frame_without_parameter_sets_is_refused() -> None:
    with pytest.raises(UnplayableError):
        StreamTemplate("h264", packet(0.0, key=True).data)


def test_files_of_a_camera_share_what_the_header_says_until_its_parameter_sets_change(tmp_path: Path) -> None:
    packets, others = encoded(), encoded(size=(640, 360), frames=2)
    shared = template(packets)
    for name in ("a.mp4", "b.mp4"):
        file = ClipFile(tmp_path / name, shared, packets)
        for one in packets:
            file.write(one)
        file.finish()
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    assert shared.fits("h264", packets[GOP].data)
    assert not shared.fits("h264", others[0].data)
    assert not shared.fits("hevc", packets[0].data)
