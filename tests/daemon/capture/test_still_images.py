"""Image files from a live camera: oriented according to their metadata, and hostile ones rejected within bounds."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import av
import cv2
import pytest

from sightd.daemon.capture.decoding import CpuDecoding
from sightd.plugins.images.formats import MOST_SCANS
from sightd.plugins.images.still import still_of
from tests.support.clips import corners, quadrants, with_exif_orientation
from tests.support.hostile_images import png_with_exif, scan_bomb, text_bomb, webp_with_exif

pytestmark = pytest.mark.computing

_PEAK = """
import sys
from pathlib import Path
import av
from sightd.daemon.capture.decoding import CpuDecoding
(decoded,) = CpuDecoding(av.CodecContext.create("png", "r")).decode(av.Packet(Path(sys.argv[1]).read_bytes()))
status = Path("/proc/self/status").read_text()  # getrusage would count what the process that started it took
print(*decoded.size, int(status.partition("VmHWM:")[2].split()[0]) >> 10)
"""


def decoding(codec: str) -> CpuDecoding:
    context = av.CodecContext.create(codec, "r")
    assert isinstance(context, av.VideoCodecContext)
    return CpuDecoding(context)


def test_a_jpeg_of_too_many_scans_is_damage_and_is_not_decoded() -> None:
    mjpeg = decoding("mjpeg")
    with pytest.raises(av.error.InvalidDataError):
        mjpeg.decode(av.Packet(scan_bomb(MOST_SCANS)))
    (decoded,) = mjpeg.decode(av.Packet(scan_bomb(0)))
    assert decoded.size == (96, 64)


def test_a_jpeg_whose_thumbnails_look_like_scans_is_decoded() -> None:
    picture, thumbnail = scan_bomb(0), b"\xff\xda" * 1000
    head = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    (decoded,) = decoding("mjpeg").decode(av.Packet(picture[:2] + head + picture[2:]))
    assert decoded.size == (96, 64)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_live_images_are_shown_as_their_exif_data_say(orientation: int) -> None:
    """Like OpenCV's decoder for stills."""
    image = quadrants(96, 64)
    jpeg, png, webp = (cv2.imencode(suffix, image)[1].tobytes() for suffix in (".jpg", ".png", ".webp"))
    images = {
        "mjpeg": with_exif_orientation(jpeg, orientation),
        "png": png_with_exif(png, orientation),
        "webp": webp_with_exif(webp, orientation, image.shape),
    }
    upright = still_of(images["mjpeg"], "photo")
    for codec, data in images.items():
        (decoded,) = decoding(codec).decode(av.Packet(data))
        assert decoded.size == (upright.shape[1], upright.shape[0])
        assert corners(decoded.decode()) == corners(upright), codec


def test_an_image_without_exif_data_is_upright_whatever_the_one_before_said() -> None:
    jpeg, mjpeg = cv2.imencode(".jpg", quadrants(96, 64))[1].tobytes(), decoding("mjpeg")
    (turned,) = mjpeg.decode(av.Packet(with_exif_orientation(jpeg, 5)))
    (plain,) = mjpeg.decode(av.Packet(jpeg))
    assert (turned.size, plain.size) == ((64, 96), (96, 64))


@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP"])
def test_compressed_texts_of_a_png_take_no_memory(kind: bytes, tmp_path: Path) -> None:
    """FFmpeg itself would use twice their decompressed size."""
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(text_bomb(kind, 400))
    done = subprocess.run([sys.executable, "-c", _PEAK, str(bomb)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    width, height, peak = map(int, done.stdout.split())
    assert (width, height) == (8, 8)
    assert peak < 300, "MiB; the interpreter and its libraries take some 100"
