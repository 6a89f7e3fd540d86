"""Scans of a JPEG are counted by its markers, as decoders see them."""

from __future__ import annotations

import struct
import time

import av
import cv2
import numpy as np
import pytest

from sightd.plugins.images.formats import exif_of, scans
from tests.support.clips import with_exif_orientation
from tests.support.hostile_images import scan_bomb

_NOISE = np.random.default_rng(0).integers(0, 256, (400, 600, 3), np.uint8)
_SCAN = b"\xff\xda"


def encoded(*, progressive: bool = False, restarts: int = 0) -> bytes:
    options = [cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive), cv2.IMWRITE_JPEG_RST_INTERVAL, restarts]
    return cv2.imencode(".jpg", _NOISE, options)[1].tobytes()


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


@pytest.mark.parametrize("restarts", [0, 3])
def test_scans_are_counted(restarts: int) -> None:
    assert scans(encoded(restarts=restarts)) == 1
    assert scans(encoded(progressive=True, restarts=restarts)) == 10
    assert scans(scan_bomb(500)) == 510


def test_thumbnails_and_what_follows_the_picture_do_not_count() -> None:
    picture, inner = encoded(progressive=True), _SCAN * 1000
    with_thumbnails = picture[:2] + segment(0xE1, inner) + segment(0xE2, b"\xff\xd9" + inner) + picture[2:]
    assert scans(with_thumbnails + inner) == 10
    assert scans(with_thumbnails, reads_on=True) == 10


def test_a_decoder_that_reads_on_sees_a_second_field() -> None:
    assert scans(encoded() + scan_bomb(500), reads_on=True) == 511


HIDDEN = {
    "behind an end before the picture": lambda bomb: bomb[:2] + b"\xff\xd9" + bomb[2:],
    "in a segment of an unknown kind": lambda bomb: bomb[:2] + segment(0x02, b"") + bomb[2:],
    "behind a table that is longer than its tables": lambda bomb: (
        bomb[:2] + segment(0xDB, bytes(65) + b"\xff\xe0" + b"\x7f") + bomb[2:]
    ),
    "behind application data that end behind the file": lambda bomb: bomb[:2] + b"\xff\xe0\xff\xff" + bomb[2:],
    "without a start": lambda bomb: bomb[2:],
    "behind thousands of segments": lambda bomb: bomb[:2] + segment(0xE0, b"") * 3000 + bomb[2:],
}


@pytest.mark.parametrize("where", HIDDEN)
def test_no_scan_can_be_hidden(where: str) -> None:
    assert scans(HIDDEN[where](scan_bomb(500))) >= 500


def test_a_large_picture_is_examined_in_little_time() -> None:
    """Measured relative to FFmpeg's decoding of the same image, so that the machine does not matter."""
    picture = encoded()
    context = av.CodecContext.create("mjpeg", "r")
    began = time.thread_time()
    context.decode(av.Packet(picture))
    decoded = time.thread_time()
    scans(picture)
    assert time.thread_time() - decoded < (decoded - began) / 2


def test_millions_of_segments_take_no_time() -> None:
    began = time.thread_time()
    scans(b"\xff\xd8" + segment(0xE0, b"") * 2_000_000)
    exif_of(b"\xff\xd8" + b"\xff\xd0" * 4_000_000)
    assert time.thread_time() - began < 1


def test_exif_data_are_found() -> None:
    assert exif_of(with_exif_orientation(encoded(), 6)).startswith(b"II*\0")
    assert exif_of(encoded()) == b""
