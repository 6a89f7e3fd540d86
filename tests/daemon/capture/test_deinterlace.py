"""Interlaced recordings are shown without combing artefacts, and lose no frame."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from sightd.daemon.capture.decoding import CpuDecoding
from sightd.daemon.capture.reconnect import FeedState
from sightd.daemon.config.model import Camera, Deinterlace
from sightd.daemon.config.source import InvalidSourceError, source_of
from sightd.daemon.tools.media import Item, frames, sequences
from tests.support.clips import CLOCKWISE, write_film
from tests.support.feeds import RunningFeed
from tests.support.waiting import eventually

_INTERLACED = {"flags": "+ildct+ilme", "x264-params": "tff=1"}
_COUNT = 12


def fields(number: int) -> NDArray[np.uint8]:
    """Returns an image whose even rows show a bar earlier than its odd rows do."""
    image = np.zeros((240, 320, 3), np.uint8)
    for field in (0, 1):
        left = 10 + 8 * (2 * number + field)
        image[field::2, left : left + 60] = 255
    return image


def film(path: Path, *, flagged: bool, matrix: list[int] | None = None) -> Path:
    options = _INTERLACED if flagged else {}
    return write_film(path, map(fields, range(_COUNT)), fps=25, options=options, matrix=matrix)


def combs(image: NDArray[np.uint8]) -> float:
    """Returns the mean difference between adjacent rows."""
    grey = image[:, :, 0].astype(int)
    return float(np.abs(grey[1:] - grey[:-1]).mean())


@pytest.mark.parametrize(
    ("mode", "flagged", "combed"),
    [("auto", True, False), ("off", True, True), ("on", False, False), ("auto", False, True)],
)
def test_interlaced_frames_become_whole_ones(tmp_path: Path, mode: Deinterlace, flagged: bool, combed: bool) -> None:
    [sequence] = sequences(film(tmp_path / "tape.mp4", flagged=flagged))
    items = [item for item in frames(sequence, mode) if isinstance(item, Item)]
    assert [item.frame.pts for item in items] == pytest.approx([number / 25 for number in range(_COUNT)])
    assert [combs(item.frame.host()) > 5 for item in items] == [combed] * _COUNT


def test_a_camera_s_frames_are_deinterlaced_turned_and_complete_to_the_last(tmp_path: Path) -> None:
    tape = film(tmp_path / "tape.mp4", flagged=True, matrix=CLOCKWISE)
    with RunningFeed(str(tape), loop=False) as running:
        eventually(lambda: running.feed.status.state is FeedState.ENDED, 10.0)
    pictures = [frame.host() for _, frame in running.frames]
    assert len(pictures) == _COUNT
    assert pictures[0].shape == (320, 240, 3)
    assert max(combs(np.rot90(picture)) for picture in pictures) < 5


def test_a_stream_that_changes_its_size_stays_complete(tmp_path: Path) -> None:
    large = film(tmp_path / "large.ts", flagged=True)
    small = write_film(tmp_path / "small.ts", [np.full((96, 128, 3), 99, np.uint8)] * 5, fps=25, options=_INTERLACED)
    both = tmp_path / "both.ts"
    both.write_bytes(large.read_bytes() + small.read_bytes())
    items = [item for item in frames(sequences(both)[0]) if isinstance(item, Item)]
    assert [item.frame.width for item in items] == [320] * _COUNT + [128] * 5
    assert combs(items[_COUNT - 1].frame.host()) < 5


def test_nvdec_takes_no_orders_about_it() -> None:
    options = {"source": "rtsp://camera/stream", "decoder": "nvdec"}
    assert source_of(Camera.model_validate(options)).deinterlace == "auto"
    with pytest.raises(InvalidSourceError, match="nvdec does not support `deinterlace`; remove it"):
        source_of(Camera.model_validate(options | {"deinterlace": "on"}))


def test_the_interlacing_of_png_is_another_thing(tmp_path: Path) -> None:
    """Adam7 stores an image in seven passes that were all taken at the same time."""
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    (tmp_path / "a.png").write_bytes(adam7(image))
    with RunningFeed(str(tmp_path / "a.png")) as running:
        frames = running.wait_for(2)
    for frame in frames:
        np.testing.assert_array_equal(frame.host(), image[:, :, ::-1])


def test_the_frames_of_an_interlaced_png_come_at_once(tmp_path: Path) -> None:
    image = np.full((48, 64, 3), 99, np.uint8)
    context = av.CodecContext.create("png", "r")
    assert isinstance(context, av.VideoCodecContext)
    assert len(CpuDecoding(context).decode(av.Packet(adam7(image)))) == 1


def adam7(image: NDArray[np.uint8]) -> bytes:
    """Returns an interlaced PNG of an RGB image."""
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    rows = [row for top, left, down, right in passes for row in image[top::down, left::right]]
    header = struct.pack(">IIBBBBB", image.shape[1], image.shape[0], 8, 2, 0, 0, 1)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    chunks = [(b"IHDR", header), (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
