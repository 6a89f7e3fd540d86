"""Segments joined to one file: every frame once and in order, at its time."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest

from sightd.daemon.capture.packets import parameter_sets
from sightd.daemon.recording.index import Clip, ClipReader
from sightd.daemon.recording.joined import JoinError, joined
from sightd.daemon.recording.store import ClipStore
from sightd.daemon.recording.writer import FileWriter
from tests.daemon.recording.counts import Counts
from tests.daemon.recording.packets import FPS, GOP, encoded
from tests.daemon.recording.test_store import options
from tests.support.barcode import get_bar

pytestmark = pytest.mark.computing

_EPOCH = 1_700_000_000.0


def write(
    folder: Path, begin: float, first: int, last: int, size: tuple[int, int] = (320, 240), *, repeats: bool = False
) -> None:
    """Adds a segment with the numbered frames, the first of which is shown `begin` s after the epoch of this test.
    `repeats`: it begins with the same parameter sets twice."""
    store = ClipStore(folder, options(), Counts())
    writer = FileWriter("gate", "segment", Counts(), lambda: first / FPS, lambda: _EPOCH + begin)
    packets = encoded(size=size)[first:last]
    if repeats:
        data = packets[0].data
        packets = (packets[0]._replace(data=parameter_sets("h264", data) + data), *packets[1:])
    writer.begin(("h264", None), packets, (), store)
    for packet in packets:
        writer.write(packet)
    writer.finish((), store)
    store.close()


def segments(folder: Path) -> list[Clip]:
    return ClipReader(folder).segments("gate", 0.0, 1e12)


def shown(folder: Path, since: float = 0.0, until: float = 1000.0) -> list[tuple[float, int]]:
    """Returns the time and number of each frame of the joined file."""
    file = b"".join(joined(folder, segments(folder), _EPOCH + since, _EPOCH + until))
    with av.open(io.BytesIO(file), "r") as container:
        frames = list(container.decode(video=0))
    bars = [get_bar(frame.to_ndarray(format="bgr24").astype(np.uint8)) for frame in frames]
    return [(round(frame.time or 0.0, 2), bar.number if bar else -1) for frame, bar in zip(frames, bars, strict=True)]


def test_segments_that_follow_each_other_play_without_a_seam(tmp_path: Path) -> None:
    write(tmp_path, 0.0, 0, GOP)
    write(tmp_path, 2.03, GOP, 2 * GOP)  # the second arrived a little late
    assert shown(tmp_path) == [(round(n / FPS, 2), n) for n in range(2 * GOP)]


def test_it_begins_with_the_key_frame_before_and_ends_in_time(tmp_path: Path) -> None:
    write(tmp_path, 0.0, 0, 2 * GOP)
    assert [number for _, number in shown(tmp_path, 3.0, 3.5)] == list(range(GOP, round(3.5 * FPS)))


def test_a_gap_between_segments_remains(tmp_path: Path) -> None:
    write(tmp_path, 0.0, 0, GOP)
    write(tmp_path, 10.0, GOP, 2 * GOP)
    times = [time for time, _ in shown(tmp_path)]
    assert times[GOP - 1 : GOP + 1] == [1.96, 10.0]


def test_what_two_segments_show_is_used_once(tmp_path: Path) -> None:
    write(tmp_path, 0.0, 0, GOP + 5)
    write(tmp_path, 0.0, 0, 2 * GOP)
    write(tmp_path, 2.0, GOP, 2 * GOP)
    assert [number for _, number in shown(tmp_path)] == list(range(2 * GOP))


def test_a_camera_that_repeats_its_parameter_sets_after_connecting_has_not_changed_its_format(tmp_path: Path) -> None:
    write(tmp_path, 0.0, 0, GOP, repeats=True)
    write(tmp_path, 2.0, GOP, 2 * GOP)
    assert [number for _, number in shown(tmp_path)] == list(range(2 * GOP))


def test_another_frame_size_is_refused_with_its_time(tmp_path: Path) -> None:
    write(tmp_path, 0.0, 0, GOP)
    write(tmp_path, 2.0, 0, GOP, size=(640, 360))
    with pytest.raises(JoinError, match=r"changed its format at .*: export"):
        next(joined(tmp_path, segments(tmp_path), _EPOCH, _EPOCH + 9))
