"""`bench.detectors`: the plain scripts, and what is compared with them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.detectors import Picture, compared, filmed, labelled, without_rare
from bench.plain_detectors import Plain, PlainDetector, selected
from sightd.engines.models.catalog import Catalog
from tests.support.networks import stored
from tests.support.pictures import street

pytestmark = pytest.mark.computing


def test_a_script_suppresses_doubles_of_the_same_class_only() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 10, 10], [50, 50, 60, 60]], float)
    found = Plain(boxes, np.array([0.8, 0.9, 0.7, 0.1]), np.array([3, 3, 5, 3]))
    kept = selected(found, 0.2, 0.5).best(100)
    assert kept.scores.tolist() == [0.9, 0.7]
    assert kept.classes.tolist() == [3, 5]
    assert selected(found, 0.2, None).best(2).scores.tolist() == [0.9, 0.8], "a model that suppresses by itself"


def test_labels_are_matched_by_name(tmp_path: Path) -> None:
    document = {
        "images": [{"id": 7, "file_name": "a.png", "width": 40, "height": 30}],
        "categories": [{"id": 3, "name": "car"}, {"id": 90, "name": "unicorn"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 3, "bbox": [1, 2, 10, 20]},
            {"id": 2, "image_id": 7, "category_id": 90, "bbox": [1, 2, 10, 20]},
        ],
    }
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "truth.json").write_text(json.dumps(document))
    (picture,) = labelled(tmp_path / "truth.json", tmp_path)
    boxes, classes = picture.truth
    assert boxes.tolist() == [[1, 2, 11, 22]]
    assert classes.tolist() == [2]


def test_classes_with_few_objects_are_left_out() -> None:
    boxes = np.arange(12, dtype=np.float32).reshape(3, 4)
    pictures = [Picture(Path("a"), (boxes, np.array([2, 2, 7]))), Picture(Path("b"), (boxes[:1], np.array([7])))]
    kept = without_rare([*pictures, Picture(Path("c"), (boxes[:1], np.array([2])))], 3)
    assert [picture.truth[1].tolist() for picture in kept] == [[2, 2], [], [2]]
    assert kept[0].truth[0].tolist() == boxes[:2].tolist()


@pytest.mark.parametrize("name", ["yolox-nano", "deimv2-atto"])
def test_the_plug_in_is_as_accurate_as_a_script_on_photographs_and_films(name: str, tmp_path: Path) -> None:
    plain = PlainDetector(stored(name), Catalog.load().get(name).head)
    pictures = []
    for number, image in enumerate(street(3)):
        file = tmp_path / f"{number}.png"
        cv2.imwrite(str(file), image)
        true = plain.selected(plain.read(image), 0.4, 0.5)
        pictures.append(Picture(file, (true.boxes.astype(np.float32), true.classes.astype(np.int64))))
    assert sum(len(picture.truth[1]) for picture in pictures) >= 5
    films = [filmed(picture, picture.file.with_suffix(".mp4")) for picture in pictures]
    rows = list(compared(name, plain, pictures, films))
    assert len(rows) == 4
    for row in rows:
        assert row.plain.map50_95 > 0.8, f"{row.kind}, {row.setting}"
        assert abs(row.difference) < (0.2 if row.kind == "photographs" else 1), f"{row.kind}, {row.setting}"
