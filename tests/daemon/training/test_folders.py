"""Folders of images become training examples, and problems with them are reported."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest

from sightd.daemon.training.errors import TrainingError
from sightd.daemon.training.folders import labelled
from sightd.daemon.training.names import checked, name_from


def folder_of(root: Path, classes: Mapping[str, int]) -> Path:
    """Creates classes with the given number of images, all different."""
    random = np.random.default_rng(0)
    for label, count in classes.items():
        (root / label / "below").mkdir(parents=True)
        for n in range(count):
            name = root / label / ("below" if n % 2 else ".") / f"{n}.png"
            cv2.imwrite(str(name), random.integers(0, 256, (8, 8, 3), np.uint8))
    return root


def test_each_folder_is_a_class_with_all_pictures_below_it(tmp_path: Path) -> None:
    found = labelled(folder_of(tmp_path, {"wren": 6, "robin": 5, ".git": 3}))
    assert found.labels == ("robin", "wren")
    assert found.classes == (0,) * 5 + (1,) * 6
    assert len(list(found.pictures())) == len(found) == 11
    assert found.left_out == ()


def test_what_cannot_be_used_is_left_out_and_told(tmp_path: Path) -> None:
    root = folder_of(tmp_path, {"wren": 6, "robin": 6})
    (root / "wren" / "broken.jpg").write_bytes(b"no picture")
    (root / "wren" / "notes.txt").write_text("no picture, and not called one")
    (root / "wren" / "twin.png").write_bytes((root / "wren" / "0.png").read_bytes())
    found = labelled(root)
    assert len(found) == 12
    notes, broken, twin = found.left_out
    assert "notes.txt: skipped, .txt is not a known image suffix" in notes
    assert "broken.jpg: not a readable image" in broken
    assert "twin.png: the same image as 0.png" in twin


def test_what_is_no_picture_is_left_out_also_where_it_lies_in_two_classes(tmp_path: Path) -> None:
    root = folder_of(tmp_path, {"wren": 6, "robin": 6})
    for label in ("wren", "robin"):
        (root / label / "empty.jpg").touch()
    found = labelled(root)
    assert len(found) == 12
    assert len(found.left_out) == 2


def test_a_class_whose_name_is_no_text_is_refused(tmp_path: Path) -> None:
    root = folder_of(tmp_path, {"wren": 6, "robin": 6})
    (root / "robin").rename(root / "rot\udcfcbin")
    with pytest.raises(TrainingError, match="cannot be a class name: rename it"):
        labelled(root)


def test_one_picture_in_two_classes_is_refused(tmp_path: Path) -> None:
    root = folder_of(tmp_path, {"wren": 6, "robin": 6})
    (root / "wren" / "lost.png").write_bytes((root / "robin" / "0.png").read_bytes())
    with pytest.raises(TrainingError, match=r"0.png and .*lost.png are the same image in two classes: remove one"):
        labelled(root)


def test_too_little_is_refused_with_what_is_needed(tmp_path: Path) -> None:
    with pytest.raises(
        TrainingError, match="is not a folder; choose one that contains a folder of images for each class"
    ):
        labelled(tmp_path / "none")
    with pytest.raises(TrainingError, match="at least two folders of images, one for each class; found none"):
        labelled(tmp_path)
    with pytest.raises(TrainingError, match="found only 'wren'"):
        labelled(folder_of(tmp_path, {"wren": 9}))
    with pytest.raises(TrainingError, match=r"each class requires at least 5 .*too few: empty \(0\), robin \(4\)"):
        labelled(folder_of(tmp_path / "few", {"robin": 4, "empty": 0}))


def test_names_are_made_of_folders_and_checked() -> None:
    assert name_from("My Birds (2026)") == "my-birds-2026"
    assert checked("birds.v2", {"resnet50"}) == "birds.v2"
    with pytest.raises(TrainingError, match="specify one with --name"):
        name_from("…")
    with pytest.raises(TrainingError, match="is not a valid name; use at most 63 lower-case letters"):
        checked("../birds", ())
    with pytest.raises(TrainingError, match="'mine' is already used by another kind of model"):
        checked("mine", (), ["mine"])
    with pytest.raises(TrainingError, match="'resnet50' is built in"):
        checked("resnet50", {"resnet50"})
