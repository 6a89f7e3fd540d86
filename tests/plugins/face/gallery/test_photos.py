"""Photographs to enrol are read within the limits of an upload, and rejected as the gallery does."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from sightd.plugins.face.gallery.enrol import MOST_BYTES, photo_of, read_photo
from sightd.plugins.face.gallery.file import GalleryError
from sightd.plugins.face.gallery.gallery import decoded, encoded
from tests.support.hostile_images import huge_images, png


def test_a_photograph_is_read(tmp_path: Path) -> None:
    image = np.full((40, 60, 3), 90, np.uint8)
    cv2.imwrite(str(tmp_path / "photo.png"), image)
    assert np.array_equal(read_photo(tmp_path / "photo.png"), image)
    assert np.array_equal(photo_of((tmp_path / "photo.png").read_bytes(), "upload"), image)


def test_what_cannot_be_read_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match=r"bomb\.png: more than 80 million pixels: reduce its size"):
        photo_of(png(60_000, 60_000), "bomb.png")
    with pytest.raises(GalleryError, match=r"nothing\.jpg: No such file"):
        read_photo(tmp_path / "nothing.jpg")
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(GalleryError, match="larger than 32 MiB"):
        read_photo(tmp_path / "huge.jpg")


def test_a_kept_face_is_what_it_was() -> None:
    crop = np.random.default_rng(0).integers(0, 256, (112, 112, 3), np.uint8)
    assert np.array_equal(decoded(encoded(crop)), crop)


@pytest.mark.parametrize("name", list(huge_images()))
def test_nothing_but_a_face_of_the_usual_size_is_a_kept_face(name: str) -> None:
    with pytest.raises(GalleryError, match="a stored face crop is damaged or not a PNG image of 112x112 pixels"):
        decoded(huge_images()[name])


@pytest.mark.parametrize("shape", [(112, 113, 3), (113, 112, 3), (112, 112)])
def test_a_face_of_another_size_is_no_kept_face(shape: tuple[int, ...]) -> None:
    with pytest.raises(GalleryError, match="112x112"):
        decoded(cv2.imencode(".png", np.zeros(shape, np.uint8))[1].tobytes())
