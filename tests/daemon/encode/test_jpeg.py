"""Stills are JPEG files of the frame."""

import cv2
import numpy as np
import pytest

from sightd.daemon.encode.encoder import encode_jpeg


def gradient() -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    x, y = np.meshgrid(np.linspace(0, 255, 160), np.linspace(0, 255, 120))
    return np.stack([x, y, 255 - x], axis=2).astype(np.uint8)


def test_the_picture_comes_back() -> None:
    data = encode_jpeg(gradient(), 90)
    assert data.startswith(b"\xff\xd8")
    back = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert back is not None
    assert cv2.PSNR(gradient(), back.astype(np.uint8)) > 35


def test_more_quality_takes_more_bytes() -> None:
    assert len(encode_jpeg(gradient(), 20)) < len(encode_jpeg(gradient(), 80)) < len(encode_jpeg(gradient(), 98))


def test_a_picture_that_is_none_is_refused() -> None:
    with pytest.raises((ValueError, cv2.error)):
        encode_jpeg(np.zeros((0, 0, 3), np.uint8), 80)
