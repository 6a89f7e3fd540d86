"""Snapshots look like the video, and are redacted like it, both of them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from sightd.daemon.config.model import Render
from sightd.daemon.encode.encoder import encode_jpeg
from sightd.daemon.pipeline.camera_pipeline import CameraPipeline
from sightd.daemon.render.renderer import Renderer
from sightd.daemon.snapshots.drawing import Scene, SnapshotDrawing
from sightd.plugins.api import Frame, FrameOverride, Image, PrivacyMask, Results
from tests.daemon.snapshots.site import masked, options, square, tracks

pytestmark = pytest.mark.computing

NOISE = np.random.default_rng(1).integers(0, 256, (240, 320, 3)).astype(np.uint8)
FACE = (40.0, 40.0, 120.0, 120.0)


def drawn(
    *found: object, max_height: int | None = None, redacts: bool = True, max_width: int | None = None
) -> list[Image]:
    """Returns the annotated and the clean snapshot of a frame of noise."""
    pipeline = CameraPipeline("gate", [])
    pipeline.redacts = redacts
    drawing = SnapshotDrawing("Gate", Render(), max_height, options(max_width=max_width, quality=100), pipeline)
    return [decoded(jpeg) for jpeg in drawing.jpegs(scene(*found))]


def scene(*found: object) -> Scene:
    return Scene(Frame.of(NOISE, camera="gate", wall_time=1e9), Results(*found), fps=25.0)


def decoded(jpeg: bytes) -> Image:
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return np.asarray(image, np.uint8)


def detail(image: Image, box: Sequence[float], scale: float = 1.0) -> float:
    """Returns how much neighbouring pixels differ within a box, without its edge."""
    left, top, right, bottom = (round(value * scale) for value in box)
    return float(np.abs(np.diff(image[top + 4 : bottom - 4, left + 4 : right - 4].astype(int), axis=1)).mean())


def test_the_annotated_one_equals_what_viewers_see() -> None:
    found = tracks(square(80)), masked(FACE)
    shown = Renderer("Gate", Render()).render(scene().frame, Results(*found), fps=25.0).image
    assert np.array_equal(drawn(*found)[0], decoded(encode_jpeg(shown, 100)))


@pytest.mark.parametrize("max_width", [None, 160])
def test_both_are_redacted_and_sharp_elsewhere(max_width: int | None) -> None:
    for image in drawn(tracks(square(80)), masked(FACE), max_width=max_width):
        scale = image.shape[1] / 320
        assert detail(image, FACE, scale) < detail(image, (140, 20, 220, 90), scale) / 4


def test_nothing_is_drawn_if_redaction_is_not_certain() -> None:
    for found in ([], [PrivacyMask.all_of(scene().frame)], [masked((0, 0, float("inf"), 9))]):
        with pytest.raises(ValueError, match="not redacted"):
            drawn(*found)
    assert len(drawn(redacts=False)) == 2


def test_a_replaced_image_is_shown_in_both_and_required_if_the_chain_redacts_by_it_too() -> None:
    grey = FrameOverride(np.full((240, 320, 3), 99, np.uint8))
    assert [abs(float(np.median(image)) - 99) < 2 for image in drawn(grey, masked())] == [True, True]
    pipeline = CameraPipeline("gate", [])
    pipeline.redacts = pipeline.replaces_picture = True
    drawing = SnapshotDrawing("Gate", Render(), None, options(), pipeline)
    assert not drawing.is_redacted(scene(masked()))
    assert drawing.is_redacted(scene(masked(), grey))


def test_only_the_annotated_one_has_the_size_of_the_video_and_none_is_wider_than_asked() -> None:
    sizes = [image.shape[1::-1] for image in drawn(masked(), max_height=120)]
    assert sizes == [(160, 120), (320, 240)]
    assert [image.shape[1::-1] for image in drawn(masked(), max_width=200)] == [(200, 150), (200, 150)]
