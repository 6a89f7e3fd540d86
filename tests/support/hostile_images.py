"""Small image files whose headers claim huge images, in every supported format, including headers that a reader other
than the decoder could misread."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence

import cv2
import numpy as np

WIDTH, HEIGHT = 40_000, 26_000
"""1.04 gigapixels: below OpenCV's own default limit. The width is negative as a signed 16-bit number."""
_BLACK = np.zeros((64, 64, 3), np.uint8)
_TIFF_TILE = ((322, WIDTH // 16 * 16), (323, HEIGHT // 16 * 16), (324, 8), (325, 4))


def huge_images() -> Mapping[str, bytes]:
    """Returns files by name; each name ends with the format's usual suffix."""
    return {
        "screen.gif": gif((WIDTH, HEIGHT), (1, 1)),
        "frame.gif": gif((8, 8), (WIDTH, HEIGHT)),
        "plain.png": png(WIDTH, HEIGHT),
        "interlaced16.png": png(WIDTH, HEIGHT, depth=16, interlaced=True),
        "animated.png": _animated_png(),
        "strips.tiff": tiff(WIDTH, HEIGHT),
        "float64.tiff": tiff(WIDTH, HEIGHT, bits=64),
        "lzw.tiff": tiff(WIDTH, HEIGHT, ((259, 5),)),
        "planar.tiff": tiff(WIDTH, HEIGHT, ((284, 2),)),
        "tile.tiff": tiff(64, 64, _TIFF_TILE),
        "bottom-up.bmp": bmp(WIDTH, HEIGHT),
        "top-down.bmp": bmp(WIDTH, -HEIGHT),
        "rle.bmp": bmp(WIDTH, HEIGHT, bits=8, compression=1),
        "baseline.jpg": _jpeg(progressive=False),
        "progressive.jpg": _jpeg(progressive=True),
        "still.webp": _webp(animated=False),
        "animated.webp": _webp(animated=True),
        "image.jp2": _jpeg2000(),
        "tile.jp2": _jpeg2000(tile=True),
        "negative-width.bmp": bmp(-8, 8),
        "least-height.bmp": bmp(8, -(1 << 31)),
        "largest.bmp": bmp((1 << 31) - 1, (1 << 31) - 1),
        "row-strips.tiff": tiff(8000, 9900, ((278, 1),)),
        "image.avif": _avif(),
        "overflow.pgm": b"P5\n99999999999999999999 99999999999\n255\n",
        "float.pfm": f"PF\n{WIDTH} {HEIGHT}\n-1.0\n".encode() + bytes(100),
        "deep.pam": b"P7\nWIDTH 8900\nHEIGHT 8900\nDEPTH 65535\nMAXVAL 65535\nTUPLTYPE RGB\nENDHDR\n",
        "radiance.hdr": f"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y {HEIGHT} +X {WIDTH}\n".encode() + bytes(100),
        "sun.ras": struct.pack(">8I", 0x59A66A95, WIDTH, HEIGHT, 24, 0, 1, 0, 0),
        "image.exr": b"\x76\x2f\x31\x01\x02\0\0\0" + bytes(1000),
        "drawing.svg": b"<svg xmlns='http://www.w3.org/2000/svg' width='1000000' height='1000000'/>",
        "page.pdf": b"%PDF-1.7\n" + bytes(1000),
        "pixels.ppm": f"P6\n{WIDTH} {HEIGHT}\n255\n".encode() + b"\0" * 50,
        "bits.pbm": f"P4\n{WIDTH} {HEIGHT}\n".encode() + b"\0" * 50,
    }


def png(width: int, height: int, *, depth: int = 8, interlaced: bool = False) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, interlaced)
    return _png(("IHDR", header), ("IDAT", zlib.compress(b"\0" * 100)))


def gif(screen: tuple[int, int], frame: tuple[int, int]) -> bytes:
    return (
        b"GIF89a" + struct.pack("<HH", *screen) + b"\x80\0\0" + b"\0" * 6
        + b"," + struct.pack("<HHHH", 0, 0, *frame) + b"\0\x02\x02\x44\x01\0;"
    )  # fmt: skip


def tiff(width: int, height: int, more: Sequence[tuple[int, int]] = (), *, bits: int = 8) -> bytes:
    """`more`: additional or replaced tags, as (tag, value)."""
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: 2, 273: 8, 277: 3, 278: height, 279: 4} | dict(more)
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, tags[tag]) for tag in sorted(tags))
    return b"II*\0" + struct.pack("<I", 16) + b"\0" * 8 + struct.pack("<H", len(tags)) + entries + b"\0" * 4


def bmp(width: int, height: int, *, bits: int = 24, compression: int = 0) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 100, 0, 0, 54) + header + b"\0" * 200


def scan_bomb(count: int, size: tuple[int, int] = (96, 64)) -> bytes:
    """Returns a progressive JPEG of (width, height) pixels with `count` superfluous scans of a few dozen bytes each."""
    picture = np.full((size[1], size[0], 3), 90, np.uint8)
    data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    return data[:-2] + data[data.rfind(b"\xff\xda") : -2] * count + data[-2:]


def exif_of_orientation(orientation: int) -> bytes:
    return b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0) + b"\0\0\0\0"


def png_of(data: bytes, chunks: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Returns the PNG with additional chunks before its image data."""
    return data[:33] + b"".join(_chunk(kind, content) for kind, content in chunks) + data[33:]


def png_with_exif(data: bytes, orientation: int) -> bytes:
    return png_of(data, [(b"eXIf", exif_of_orientation(orientation))])


def webp_with_exif(data: bytes, orientation: int, shape: Sequence[int]) -> bytes:
    """Returns the WebP with an EXIF orientation. `shape` is the image's (height, width)."""
    exif = exif_of_orientation(orientation)
    content = b"WEBPVP8X" + struct.pack("<I", 10) + b"\x08\0\0\0" + _three(shape[1] - 1) + _three(shape[0] - 1)
    content += data[12:] + b"EXIF" + struct.pack("<I", len(exif)) + exif
    return b"RIFF" + struct.pack("<I", len(content)) + content


def text_bomb(kind: bytes, mebibytes: int) -> bytes:
    """Returns an 8x8 PNG with a compressed chunk `kind` that decompresses to `mebibytes` MiB."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(mebibytes)) + packer.flush()
    return png_of(cv2.imencode(".png", _BLACK[:8, :8])[1].tobytes(), [(kind, b"name\0\0" + packed)])


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _png(*chunks: tuple[str, bytes]) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind.encode(), content) for kind, content in (*chunks, ("IEND", b"")))


def _animated_png() -> bytes:
    frame = struct.pack(">IIIIIHHBB", 0, WIDTH, HEIGHT, 0, 0, 1, 1, 0, 0)
    return _png(
        ("IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)),
        ("acTL", struct.pack(">II", 2, 0)),
        ("fcTL", frame),
        ("IDAT", zlib.compress(b"\0" * 100)),
    )


def _jpeg(*, progressive: bool) -> bytes:
    data = bytearray(cv2.imencode(".jpg", _BLACK, [cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)])[1].tobytes())
    at = data.index(b"\xff\xc2" if progressive else b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", HEIGHT, WIDTH)
    return bytes(data)


def _webp(*, animated: bool) -> bytes:
    picture = cv2.imencode(".webp", _BLACK[:8, :8], [cv2.IMWRITE_WEBP_QUALITY, 80])[1].tobytes()[12:]
    canvas = _three(WIDTH - 1) + _three(HEIGHT - 1)
    content = b"WEBPVP8X" + struct.pack("<I", 10) + bytes([2 * animated, 0, 0, 0]) + canvas
    if animated:
        frame = b"\0" * 6 + _three(7) + _three(7) + _three(100) + b"\0" + picture
        picture = b"ANIM" + struct.pack("<I", 6) + b"\0" * 6 + b"ANMF" + struct.pack("<I", len(frame)) + frame
    return b"RIFF" + struct.pack("<I", len(content + picture)) + content + picture


def _avif() -> bytes:
    data = bytearray(cv2.imencode(".avif", _BLACK)[1].tobytes())
    at = data.index(b"ispe") + 8
    data[at : at + 8] = struct.pack(">II", WIDTH, HEIGHT)
    return bytes(data)


def tiff_of_many(count: int, *, endless: bool = False) -> bytes:
    """Returns a TIFF of `count` grey 8x8 images. `endless`: the last one links back to the first."""
    first, tags = 72, {256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 8, 279: 64}
    entries = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", t, 4, 1, v) for t, v in tags.items())
    step = len(entries) + 4
    following = [first + step * n for n in range(1, count)] + [first if endless else 0]
    pages = b"".join(entries + struct.pack("<I", at) for at in following)
    return b"II*\0" + struct.pack("<I", first) + bytes(64) + pages


def deflated_tiff(size: tuple[int, int], mebibytes: int) -> bytes:
    """Returns a TIFF of (width, height) pixels whose only strip decompresses to `mebibytes` MiB."""
    packer = zlib.compressobj(9)
    strip = b"".join(packer.compress(bytes(1 << 20)) for _ in range(mebibytes)) + packer.flush()
    start = 8 + 2 + 12 * 10 + 4
    tags = {256: size[0], 257: size[1], 258: 8, 259: 8, 262: 2, 273: start, 277: 3, 278: size[1], 279: len(strip)}
    tags[284] = 1
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + strip


def _three(number: int) -> bytes:
    return struct.pack("<I", number)[:3]


def _jpeg2000(*, tile: bool = False) -> bytes:
    """`tile`: one tile covers the whole claimed image."""
    data = bytearray(cv2.imencode(".jp2", _BLACK)[1].tobytes())
    size = data.index(b"\xff\x51") + 6
    data[size : size + 8] = struct.pack(">II", WIDTH, HEIGHT)
    if tile:
        data[size + 16 : size + 24] = struct.pack(">II", WIDTH, HEIGHT)
    header = data.index(b"ihdr") + 4
    data[header : header + 8] = struct.pack(">II", HEIGHT, WIDTH)
    return bytes(data)
