"""Still images from any source are read upright, or rejected if decoding them would need too much."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from sightd.plugins.api import Image
from sightd.plugins.images import still
from sightd.plugins.images.still import LOCAL, UPLOAD, Limits, StillError, read_still, still_of
from tests.support.hostile_images import deflated_tiff, gif, huge_images, png, scan_bomb, text_bomb, tiff, tiff_of_many

_PEAK = """
import sys
from pathlib import Path
from sightd.plugins.images.still import Limits, StillError, _decoder, still_of
limits = Limits(1 << 20, int(sys.argv[2]))
try:
    print(still_of(Path(sys.argv[1]).read_bytes(), "it", limits).shape)
except StillError as error:
    print(error)
statuses = [Path(f"/proc/{pid}/status").read_text() for pid in ("self", _decoder(limits.pixels)._process.pid)]
print(max(int(one.partition("VmHWM:")[2].split()[0]) for one in statuses) >> 10)
"""


def picture() -> Image:
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, :30] = (0, 0, 255)
    return image


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".webp", ".tiff", ".jpg", ".gif", ".ppm", ".avif"])
def test_images_of_all_usual_formats_are_read(suffix: str, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / f"photo{suffix}"), picture())
    assert np.abs(read_still(tmp_path / f"photo{suffix}").astype(int) - picture()).mean() < 12


def test_pixels_are_those_of_opencv(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (301, 407, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "noise.jpg"), noise)
    read = read_still(tmp_path / "noise.jpg")
    assert np.array_equal(read, np.asarray(cv2.imread(str(tmp_path / "noise.jpg"))))
    read[:] = 0  # the array belongs to the caller


_EXIF = b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0) + b"\0\0\0\0"
"""Orientation 6: rotate clockwise."""


def turned_jpeg() -> bytes:
    data = cv2.imencode(".jpg", picture(), [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(_EXIF) + 8) + b"Exif\0\0" + _EXIF + data[2:]


def turned_png() -> bytes:
    data, chunk = cv2.imencode(".png", picture())[1].tobytes(), b"eXIf" + _EXIF
    return data[:33] + struct.pack(">I", len(_EXIF)) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]


def turned_webp() -> bytes:
    pixels = cv2.imencode(".webp", picture())[1].tobytes()[12:]
    canvas = struct.pack("<I", 59)[:3] + struct.pack("<I", 39)[:3]
    content = b"WEBPVP8X" + struct.pack("<I", 10) + b"\x08\0\0\0" + canvas + pixels
    content += b"EXIF" + struct.pack("<I", len(_EXIF)) + _EXIF
    return b"RIFF" + struct.pack("<I", len(content)) + content


def turned_tiff() -> bytes:
    """Returns an uncompressed TIFF, with the orientation among its own tags."""
    rows = picture()[:, :, ::-1].tobytes()
    tags = {256: 60, 257: 40, 258: 8, 259: 1, 262: 2, 273: 200, 274: 6, 277: 3, 278: 40, 279: len(rows)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    header = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + b"\0" * 4
    return header.ljust(200, b"\0") + rows


@pytest.mark.parametrize("made", [turned_jpeg, turned_png, turned_webp, turned_tiff])
def test_an_image_on_its_side_is_put_upright(made: object) -> None:
    assert callable(made)
    image = still_of(made(), "photo")
    assert image.shape == (60, 40, 3)
    assert image[5, 20, 2] > 200, "left is up now"
    assert image[55, 20, 2] < 50


def peak_of(data: bytes, folder: Path, pixels: int = UPLOAD.pixels) -> tuple[str, int]:
    """Reads it in a separate process. Returns the outcome and the process's peak memory in MiB, of which Python with
    OpenCV takes about 70."""
    (folder / "file").write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", _PEAK, str(folder / "file"), str(pixels)],
        capture_output=True, text=True, timeout=120, check=True, env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    outcome, peak = done.stdout.strip().splitlines()
    return outcome, int(peak)


@pytest.mark.parametrize("name", list(huge_images()))
def test_huge_images_in_small_files_take_no_memory(name: str, tmp_path: Path) -> None:
    outcome, peak = peak_of(huge_images()[name], tmp_path)
    assert "million pixels: reduce its size" in outcome or "not a readable image" in outcome
    assert peak < 150


def test_a_decoder_has_no_more_memory_than_it_needs(tmp_path: Path) -> None:
    """A TIFF of 64x64 pixels, stored as one tile of 72 million pixels."""
    few = Limits(UPLOAD.bytes, 1_000_000)
    tiled = tiff(64, 64, ((322, 9008), (323, 8000), (324, 8), (325, 4)))
    with pytest.raises(StillError, match="not a readable image"):
        still_of(tiled, "tiled.tiff", few)
    assert still_of(gif((1000, 1000), (1, 1)), "small.gif", few).shape == (1000, 1000, 3)
    assert peak_of(tiled, tmp_path, pixels=1_000_000)[1] < 150


def test_the_limits_are_stated() -> None:
    with pytest.raises(StillError, match=r"^bomb\.png: more than 80 million pixels: reduce its size$"):
        still_of(png(60_000, 60_000), "bomb.png")
    with pytest.raises(StillError, match=r"^upload: larger than 32 MiB: reduce its size$"):
        still_of(b"\0" * (UPLOAD.bytes + 1), "upload")


def test_a_file_that_is_too_long_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(LOCAL.bytes + 1)
    with pytest.raises(StillError, match=r"huge\.jpg: larger than 512 MiB"):
        read_still(tmp_path / "huge.jpg")


@pytest.mark.parametrize("content", [b"<html>", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"GIF89a", b"x" * 5000])
def test_what_is_no_image_is_refused(content: bytes) -> None:
    with pytest.raises(StillError, match=r"^photo: not a readable image"):
        still_of(content, "photo")


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(StillError, match=r"^photo: not an image: the file is empty$"):
        still_of(b"", "photo")


def test_heic_is_refused_with_what_to_do() -> None:
    with pytest.raises(StillError, match=r"IMG\.HEIC: HEIC images are not supported: convert it to JPEG"):
        still_of(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 100, "IMG.HEIC")


def test_an_image_that_breaks_off_is_refused() -> None:
    data = cv2.imencode(".png", np.random.default_rng(0).integers(0, 256, (50, 50, 3), np.uint8))[1].tobytes()
    with pytest.raises(StillError, match="incomplete"):
        still_of(data[:60], "photo.png")


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")  # nobody writes: reading it would block
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket.jpg"))
        for path, kind in (
            (tmp_path / "pipe.jpg", "a named pipe"),
            (tmp_path / "socket.jpg", "a socket, not a regular file"),
            (Path("/dev/zero"), "a character device"),
            (tmp_path, "a directory"),
            (tmp_path / "none.jpg", "No such file"),
        ):
            with pytest.raises(StillError, match=kind):
                read_still(path)


def test_names_that_do_not_print_are_escaped_in_messages(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xe9\x1b[2J.jpg")
    Path(path).write_bytes(b"nothing")
    with pytest.raises(StillError) as refused:
        read_still(Path(path))
    assert str(refused.value).isprintable()
    assert r"\x1b[2J.jpg" in str(refused.value)


def test_the_decoder_that_dies_is_started_again() -> None:
    good = cv2.imencode(".png", picture())[1].tobytes()
    assert still_of(good, "first").shape == (40, 60, 3)
    process = still._decoder(UPLOAD.pixels)._process
    assert process is not None
    process.kill()
    process.wait()
    with pytest.raises(StillError, match="the decoder failed"):
        still_of(good, "second")
    assert still_of(good, "third").shape == (40, 60, 3)


@pytest.mark.parametrize("answer", [b"[]\n", b"?\n", b'{"width": 1}\n', b'{"width": "a", "height": 1}\n'])
def test_a_decoder_that_was_taken_over_gets_no_further(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    good = cv2.imencode(".png", picture())[1].tobytes()
    with monkeypatch.context() as changed:
        changed.setattr(still, "_line", lambda _connection: answer)
        with pytest.raises(StillError, match="the decoder failed"):
            still_of(good, "first")
    assert still_of(good, "second").shape == (40, 60, 3)


def test_a_jpeg_of_too_many_scans_is_refused_without_decoding_it() -> None:
    with pytest.raises(StillError, match=r"^bomb\.jpg: a JPEG with more than 100 scans: save it as a plain JPEG"):
        still_of(scan_bomb(100), "bomb.jpg")
    assert still_of(scan_bomb(0), "photo.jpg").shape == (64, 96, 3)


def test_a_motion_photo_is_read() -> None:
    """A JPEG followed by a video, in which anything may look like a scan."""
    film = b"\xff\xda\0\x0c" * 1000
    assert still_of(scan_bomb(0) + film, "motion.jpg").shape == (64, 96, 3)


def test_what_takes_too_much_time_is_refused_as_that() -> None:
    """A scan bomb of a million pixels, given to the decoder without the check that would reject it; it needs some 20
    s."""
    answer = still._decoder(1_000_000).decode(scan_bomb(15_000, (1000, 1000)))
    assert answer == "decoding takes too long: save it as a plain JPEG or PNG"
    assert still.still_of(scan_bomb(0), "next.jpg", Limits(UPLOAD.bytes, 1_000_000)).shape == (64, 96, 3)


@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP"])
def test_compressed_texts_of_a_png_take_no_memory(kind: bytes, tmp_path: Path) -> None:
    outcome, peak = peak_of(text_bomb(kind, 400), tmp_path)
    assert outcome == "(8, 8, 3)"
    assert peak < 150


BOUNDLESS = {
    "9,000 images": lambda: tiff_of_many(9000),
    "images in a circle": lambda: tiff_of_many(2, endless=True),
    "a strip of 400 MiB": lambda: deflated_tiff((64, 64), 400),
}


@pytest.mark.parametrize("what", BOUNDLESS)
def test_of_an_image_file_that_holds_more_only_the_image_is_decoded(what: str, tmp_path: Path) -> None:
    outcome, peak = peak_of(BOUNDLESS[what](), tmp_path)
    assert outcome in ("(8, 8, 3)", "(64, 64, 3)")
    assert peak < 150
