"""Photographs with EXIF data: a dataset stores them upright, with their boxes, and without anything private."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sightd.daemon.tools.label.dataset import Dataset, Imported, import_labelled, read_labelled
from sightd.daemon.tools.label.labelled import LabelError, LabelledFrame
from tests.support.clips import with_exif_orientation
from tests.support.hostile_images import png_with_exif, webp_with_exif

pytestmark = pytest.mark.computing

Bgr = NDArray[np.uint8]
STORED = np.array([8, 12, 40, 28])
"""The object's box in the stored pixels, of 96x64."""


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return Dataset.create(tmp_path / "yard", ["parcel"])


def photograph() -> Bgr:
    """Grey, with a white object at `STORED`."""
    image = np.full((64, 96, 3), 90, np.uint8)
    x1, y1, x2, y2 = STORED
    image[y1:y2, x1:x2] = 255
    return image


def encoded(form: str, orientation: int) -> bytes:
    data = cv2.imencode(f".{form}", photograph())[1].tobytes()
    if form == "jpg":
        return with_exif_orientation(data, orientation)
    return png_with_exif(data, orientation) if form == "png" else webp_with_exif(data, orientation, (64, 96))


def object_of(image: Bgr) -> list[int]:
    """Returns the box of what is white."""
    rows, columns = np.where(image[..., 1] > 180)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def imported(
    dataset: Dataset, folder: Path, content: bytes, name: str, size: tuple[int, int], box: list[int]
) -> Imported:
    folder.mkdir()
    (folder / name).write_bytes(content)
    document = {
        "images": [{"id": 1, "file_name": name, "width": size[0], "height": size[1]}],
        "annotations": [
            {
                "image_id": 1,
                "category_id": 1,
                "bbox": [int(v) for v in (box[0], box[1], box[2] - box[0], box[3] - box[1])],
            }
        ],
        "categories": [{"id": 1, "name": "parcel"}],
    }
    (folder / "labels.json").write_text(json.dumps(document))
    return import_labelled(dataset, read_labelled(folder / "labels.json"), "tool")


@pytest.mark.parametrize("form", ["jpg", "png", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_stored_as_it_is_shown_with_boxes_drawn_on_it(
    orientation: int, form: str, dataset: Dataset, tmp_path: Path
) -> None:
    content = encoded(form, orientation)
    shown = np.asarray(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR), np.uint8)
    size = shown.shape[1], shown.shape[0]
    assert imported(dataset, tmp_path / "in", content, f"a.{form}", size, object_of(shown)).new == 1
    (frame,) = dataset.frames
    raw = np.asarray(cv2.imread(str(frame.path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION), np.uint8)
    assert (frame.width, frame.height) == size == raw.shape[1::-1]
    np.testing.assert_allclose(object_of(raw), frame.boxes[0].xyxy, atol=1)
    assert b"II*\0" not in frame.path.read_bytes()


@pytest.mark.parametrize("form", ["jpg", "png"])
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_boxes_drawn_on_the_stored_pixels_turn_with_the_image(
    orientation: int, form: str, dataset: Dataset, tmp_path: Path
) -> None:
    content = encoded(form, orientation)
    assert imported(dataset, tmp_path / "in", content, f"a.{form}", (96, 64), STORED.tolist()).new == 1
    (frame,) = dataset.frames
    assert (frame.width, frame.height) == (64, 96)
    np.testing.assert_allclose(object_of(frame.image()), frame.boxes[0].xyxy, atol=1)


def test_another_size_is_refused_whatever_the_orientation(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="64x96 pixels, but its labels are for 96x65"):
        imported(dataset, tmp_path / "in", encoded("jpg", 6), "a.jpg", (96, 65), STORED.tolist())


def test_a_frame_that_is_not_imported_says_what_turns_its_boxes(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded("jpg", 6))
    with pytest.raises(LabelError, match="or, if its EXIF data turn it, take it by `sightd label import`"):
        LabelledFrame(tmp_path / "a.jpg", 96, 64).image()


def test_nothing_private_is_stored_and_an_upright_jpeg_keeps_its_pixels(dataset: Dataset, tmp_path: Path) -> None:
    plain = cv2.imencode(".jpg", photograph())[1].tobytes()
    comment = b"\xff\xfe\0\x0agps 52.5"
    content = with_exif_orientation(plain[:2] + comment + plain[2:], 1) + b"a film of 3 s"
    assert imported(dataset, tmp_path / "in", content, "a.jpg", (96, 64), STORED.tolist()).new == 1
    assert imported(dataset, tmp_path / "again", content, "a.jpg", (96, 64), STORED.tolist()) == Imported(0, 1, ())
    assert imported(dataset, tmp_path / "plain", plain, "a.jpg", (96, 64), STORED.tolist()) == Imported(0, 1, ())
    (frame,) = dataset.frames
    assert frame.path.read_bytes() == plain


def test_added_images_lose_their_metadata_too(dataset: Dataset, tmp_path: Path) -> None:
    dataset.add(encoded("jpg", 1), LabelledFrame(tmp_path / "a.jpg", 96, 64))
    assert b"Exif" not in dataset.frames[0].path.read_bytes()
