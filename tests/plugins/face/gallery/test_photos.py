"""Photographs are read upright; what is too large or none is refused before it is decoded."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from plugins.face.gallery.errors import GalleryError
from plugins.face.gallery.photos import MOST_BYTES, photo_of, read_photo
from plugins.types import Image


def picture() -> Image:
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, :30] = (0, 0, 255)
    return image


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".webp", ".tiff", ".jpg"])
def test_pictures_of_all_usual_kinds_are_read(suffix: str, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / f"photo{suffix}"), picture())
    assert np.abs(read_photo(tmp_path / f"photo{suffix}").astype(int) - picture()).mean() < 12


def test_a_picture_on_its_side_is_put_upright() -> None:
    _, data = cv2.imencode(".jpg", picture(), [cv2.IMWRITE_JPEG_QUALITY, 95])
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0) + b"\0\0\0\0"
    turned = data.tobytes()[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data.tobytes()[2:]
    image = photo_of(turned, "photo.jpg")
    assert image.shape == (60, 40, 3)
    assert image[5, 20, 2] > 200, "left is up now"


def bomb(side: int) -> bytes:
    """A PNG of that many pixels each way, in few bytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = zlib.compress(b"\0" * 100)
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_a_picture_of_too_many_pixels_is_not_decoded() -> None:
    with pytest.raises(GalleryError, match=r"bomb\.png: 60000x60000 pixels, at most 80 million: make it smaller"):
        photo_of(bomb(60_000), "bomb.png")


@pytest.mark.parametrize("content", [b"", b"<html>", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"GIF89a"])
def test_what_is_no_picture_is_told(content: bytes) -> None:
    with pytest.raises(GalleryError, match=r"photo: not a"):
        photo_of(content, "photo")


def test_a_picture_that_breaks_off_is_told() -> None:
    _, data = cv2.imencode(".png", np.random.default_rng(0).integers(0, 256, (50, 50, 3), np.uint8))
    with pytest.raises(GalleryError, match="damaged, or not complete"):
        photo_of(data.tobytes()[:60], "photo.png")


def test_files_that_are_missing_or_huge_are_told(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match=r"nothing\.jpg: No such file"):
        read_photo(tmp_path / "nothing.jpg")
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(GalleryError, match="larger than 32 MiB"):
        read_photo(tmp_path / "huge.jpg")
    with pytest.raises(GalleryError, match="larger than 32 MiB"):
        photo_of(b"\0" * (MOST_BYTES + 1), "upload")
