"""Pictures of segments: the key frame at or before a time, small, and nothing of a file that cannot be read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from sightd.daemon.recording.index import Clip, ClipReader
from sightd.daemon.recording.preview import PreviewError, preview
from sightd.plugins.api import Image
from tests.daemon.recording.packets import FPS, GOP
from tests.daemon.recording.test_joined import write
from tests.support.barcode import get_bar

pytestmark = pytest.mark.waiting

_BEGIN = 1_700_000_000.0


@pytest.fixture
def segment(tmp_path: Path) -> Clip:
    """Two groups of 2 s, the frames of which are numbered by their bar code."""
    write(tmp_path, 0.0, 0, 2 * GOP)
    (found,) = ClipReader(tmp_path).segments("gate", 0.0, 1e12)
    return found


def decoded(jpeg: bytes) -> Image:
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image.astype(np.uint8)


@pytest.mark.parametrize(("at", "key"), [(0.0, 0), (1.9, 0), (2.0, GOP), (3.5, GOP), (99.0, GOP), (-1.0, 0)])
def test_the_key_frame_at_or_before_a_time_is_shown(tmp_path: Path, segment: Clip, at: float, key: int) -> None:
    found = preview(tmp_path, segment, _BEGIN + at, 1280)
    image = decoded(found.jpeg)
    assert image.shape == (240, 320, 3), "never larger than the video"
    bar = get_bar(image)
    assert bar is not None
    assert bar.number == key
    assert found.at == pytest.approx(_BEGIN + key / FPS, abs=0.002)


def test_previews_are_as_small_as_asked_for(tmp_path: Path, segment: Clip) -> None:
    image = decoded(preview(tmp_path, segment, _BEGIN, 160).jpeg)
    assert image.shape == (120, 160, 3)


def test_a_file_that_is_damaged_or_gone_is_an_error(tmp_path: Path, segment: Clip) -> None:
    path = tmp_path / segment.path
    whole = path.read_bytes()
    start = whole.index(b"mdat") + 4
    path.write_bytes(whole[:start] + bytes(len(whole) - start))
    with pytest.raises(PreviewError, match=r"Recording 1"):
        preview(tmp_path, segment, _BEGIN, 320)
    with pytest.raises(PreviewError, match=r"cannot be read"):
        preview(tmp_path, replace(segment, path="nothing.mp4"), _BEGIN, 320)
