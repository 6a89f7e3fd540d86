"""Orientations stated in image files, and compressed text chunks in PNGs."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest

from sightd.plugins.images.formats import orientation_of, without_compressed_text
from tests.support.clips import with_exif_orientation
from tests.support.hostile_images import png_of, png_with_exif, webp_with_exif

_PICTURE = np.full((16, 24, 3), 90, np.uint8)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_eight_orientations_are_read(orientation: int) -> None:
    jpeg, png, webp = (cv2.imencode(suffix, _PICTURE)[1].tobytes() for suffix in (".jpg", ".png", ".webp"))
    assert orientation_of(with_exif_orientation(jpeg, orientation)) == orientation
    assert orientation_of(png_with_exif(png, orientation)) == orientation
    assert orientation_of(webp_with_exif(webp, orientation, _PICTURE.shape[:2])) == orientation


def test_exif_data_of_motorola_order_are_read() -> None:
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHH", 0x0112, 3, 1, 7, 0)
    jpeg = cv2.imencode(".jpg", _PICTURE)[1].tobytes()
    assert orientation_of(jpeg[:2] + struct.pack(">HH", 0xFFE1, len(exif) + 2) + exif + jpeg[2:]) == 7


@pytest.mark.parametrize("exif", [b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff" + bytes(30)])
def test_nonsense_is_upright(exif: bytes) -> None:
    assert orientation_of(b"\xff\xd8\xff\xe1" + struct.pack(">H", len(exif) + 8) + b"Exif\0\0" + exif) == 1
    assert orientation_of(exif) == 1
    assert orientation_of(with_exif_orientation(b"\xff\xd8\xff\xd9", 9)) == 1


def test_compressed_texts_are_left_out_of_a_png_and_the_rest_stays() -> None:
    plain = cv2.imencode(".png", _PICTURE)[1].tobytes()
    texts = [(kind, b"name\0\0" + zlib.compress(bytes(10_000))) for kind in (b"zTXt", b"iCCP")]
    assert without_compressed_text(png_of(plain, [*texts, (b"iTXt", b"name\0\1\0\0\0")])) == plain
    assert without_compressed_text(plain) is plain
    jpeg = cv2.imencode(".jpg", _PICTURE)[1].tobytes() + b"zTXt"
    assert without_compressed_text(jpeg) is jpeg
