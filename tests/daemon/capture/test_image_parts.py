"""Images are found in whatever an HTTP camera sends, byte by byte or all at once."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sightd.daemon.capture.http_camera import MOST_BETWEEN, MOST_PICTURE, Part, PartReader, TooLargeError

pytestmark = pytest.mark.computing


def jpeg(number: int, *, progressive: bool = False) -> bytes:
    picture = np.random.default_rng(number).integers(0, 256, (48, 64, 3), np.uint8)
    options = [cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive), cv2.IMWRITE_JPEG_RST_INTERVAL, 2]
    return cv2.imencode(".jpg", picture, options)[1].tobytes()


PICTURES = [jpeg(1), jpeg(2, progressive=True), jpeg(3)]


def with_thumbnail(picture: bytes) -> bytes:
    """Returns an image as cameras with EXIF write it: with another complete image inside its header."""
    inner = b"Exif\0\0" + jpeg(9)
    return picture[:2] + b"\xff\xe1" + (len(inner) + 2).to_bytes(2, "big") + inner + picture[2:]


def head(picture: bytes, *, end: str = "\r\n", length: bool = True) -> bytes:
    stated = f"Content-Length: {len(picture)}{end}" if length else ""
    return f"Content-Type: image/jpeg{end}{stated}{end}".encode()


DIALECTS = {
    "as it should be": b"".join(b"--b\r\n" + head(p) + p + b"\r\n" for p in PICTURES),
    "no first boundary": b"".join(head(p) + p + b"\r\n--b\r\n" for p in PICTURES),
    "no length": b"".join(b"--b\r\n" + head(p, length=False) + p + b"\r\n" for p in PICTURES),
    "bare line feeds": b"".join(b"--b\n" + head(p, end="\n") + p + b"\n" for p in PICTURES),
    "no line end behind the picture": b"".join(b"--b\r\n" + head(p) + p for p in PICTURES),
    "neither length nor line end": b"".join(b"--b\r\n" + head(p, length=False) + p for p in PICTURES),
    "padded": b"".join(head(p + bytes(37)) + p + bytes(37) for p in PICTURES),
    "padded without a length": b"".join(b"--b\r\n\r\n" + p + bytes(37) for p in PICTURES),
    "nothing but pictures": b"".join(PICTURES),
    "a preamble": b"hello\r\n\r\n" + b"".join(b"--b\r\n" + head(p) + p + b"\r\n" for p in PICTURES),
}


def read(data: bytes, step: int) -> list[Part]:
    reader = PartReader()
    parts = [part for at in range(0, len(data), step) for part in reader.feed(data[at : at + step])]
    return parts + reader.finish()


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_gives_the_same_pictures(dialect: str, step: int) -> None:
    parts = read(DIALECTS[dialect], step)
    assert [part.data.rstrip(b"\0") for part in parts] == PICTURES


@pytest.mark.parametrize("step", [1, 1 << 20])
def test_a_thumbnail_is_no_picture_of_its_own(step: int) -> None:
    picture = with_thumbnail(PICTURES[0])
    assert [part.data for part in read(b"--b\r\n\r\n" + picture + PICTURES[2], step)] == [picture, PICTURES[2]]


@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize("cut", [10, 0.3, 0.9])
def test_a_cut_picture_harms_none_of_its_neighbours(length: bool, cut: float) -> None:
    broken = PICTURES[0][: int(cut if cut > 1 else cut * len(PICTURES[0]))]
    sent = [PICTURES[0], broken, PICTURES[2], PICTURES[0]]
    parts = read(b"".join(b"--b\r\n" + head(p, length=length) + p + b"\r\n" for p in sent), 1000)
    assert next(part.data for part in parts if part.data != broken) == PICTURES[0]
    assert [part.data for part in parts][-2:] == [PICTURES[2], PICTURES[0]]
    assert len(parts) == 4


def test_a_picture_without_an_end_is_given_when_the_next_begins() -> None:
    without = PICTURES[0][:-2]
    parts = read(b"".join(b"--b\r\n" + head(p, length=False) + p + b"\r\n" for p in [without, PICTURES[2]]), 100)
    assert parts[0].data.startswith(without)
    assert parts[1].data == PICTURES[2]


def test_the_cameras_time_of_a_picture_is_kept() -> None:
    reader = PartReader()
    data = b"--b\r\nX-Timestamp: 1700000000.250000\r\n" + head(PICTURES[0]) + PICTURES[0]
    assert reader.feed(data + b"\r\n--b\r\n" + head(PICTURES[2]) + PICTURES[2]) == [
        Part(PICTURES[0], 1700000000.25),
        Part(PICTURES[2], None),
    ]


def test_an_announced_length_beyond_any_picture_is_refused_at_once() -> None:
    with pytest.raises(TooLargeError, match="2000 MB is announced"):
        PartReader().feed(b"--b\r\nContent-Length: 2000000000\r\n\r\n\xff\xd8\xff")


SEGMENT = b"\xff\xe1\xff\xff" + bytes(65533)


@pytest.mark.parametrize(
    ("begin", "more"),
    [(b"\xff\xd8\xff\xda\0\2", bytes(1 << 20)), (b"\xff\xd8" + SEGMENT, SEGMENT)],
    ids=["scan", "head"],
)
def test_a_picture_without_an_end_is_refused_before_it_takes_the_memory(begin: bytes, more: bytes) -> None:
    reader, sent = PartReader(), 0
    reader.feed(b"--b\r\n\r\n" + begin)
    while sent <= MOST_PICTURE - 2 * len(more):
        sent += len(more)
        assert reader.feed(more) == []
    with pytest.raises(TooLargeError, match="is larger than"):
        reader.feed(3 * more)


def test_a_stream_without_pictures_is_refused() -> None:
    reader = PartReader()
    assert reader.feed(bytes(MOST_BETWEEN)) == []
    with pytest.raises(TooLargeError, match="without an image"):
        reader.feed(bytes(1))
