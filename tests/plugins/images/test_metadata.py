"""What is stored of an image holds its pixels and nothing else."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest

from sightd.plugins.images.formats import without_metadata
from tests.support.clips import with_exif_orientation
from tests.support.hostile_images import png_of

_IMAGE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
_PRIVATE = b"52.5200 N"


def encoded(form: str, *options: int) -> bytes:
    return cv2.imencode(form, _IMAGE, options)[1].tobytes()


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


@pytest.mark.parametrize(
    "options", [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 3)], ids=str
)
def test_a_jpeg_keeps_what_its_pixels_need(options: tuple[int, ...]) -> None:
    plain = encoded(".jpg", *options)
    assert without_metadata(plain) == plain
    adobe = segment(0xEE, b"Adobe\0\x64\0\0\0\0\1")
    assert without_metadata(plain[:2] + adobe + plain[2:]) == plain[:2] + adobe + plain[2:]


@pytest.mark.parametrize(
    "private",
    [
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + _PRIVATE),
        segment(0xE0, b"JFXX\0" + _PRIVATE),
        segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\1\3" + _PRIVATE),
        segment(0xED, b"Photoshop 3.0\0" + _PRIVATE),
        segment(0xEE, b"Adobe" + _PRIVATE),
        segment(0xFE, _PRIVATE),
    ],
    ids=["XMP", "thumbnail", "thumbnail in JFIF", "IPTC", "like Adobe's", "comment"],
)
def test_a_jpeg_loses_everything_else(private: bytes) -> None:
    plain = encoded(".jpg")
    content = with_exif_orientation(plain[:2] + private + plain[2:], 6) + private
    assert without_metadata(content) == plain


def test_a_png_loses_everything_else() -> None:
    plain = encoded(".png")
    private = png_of(plain, [(kind, _PRIVATE) for kind in (b"tEXt", b"iTXt", b"zTXt", b"eXIf", b"tIME", b"prVt")])
    assert without_metadata(private + _PRIVATE) == plain == without_metadata(plain)
    gamma = png_of(plain, [(b"gAMA", b"\0\0\xb1\x8f")])
    assert without_metadata(gamma) == gamma


@pytest.mark.parametrize(
    "content",
    [
        encoded(".jpg")[:-2],
        encoded(".jpg")[:2] + segment(0xC7, b"?") + encoded(".jpg")[2:],
        encoded(".png")[:-12],
        encoded(".webp"),
        encoded(".bmp"),
        b"",
    ],
    ids=["JPEG without end", "unknown segment", "PNG without end", "WebP", "BMP", "nothing"],
)
def test_what_cannot_be_told_apart_is_not_taken_apart(content: bytes) -> None:
    assert without_metadata(content) is None
