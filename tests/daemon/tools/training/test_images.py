"""Images to train with, and names of what is trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest

from sightd.daemon.tools.media import MediaError
from sightd.daemon.tools.training import images
from sightd.daemon.tools.training.images import MOST_IN_MEMORY, labelled, pictures_of, squares, write_preview
from sightd.daemon.tools.training.preflight import TrainingError, checked, name_from
from tests.support import media


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


def test_what_cannot_be_used_is_left_out_and_reported(tmp_path: Path) -> None:
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


def test_squares_are_of_one_size_and_all_over_the_pictures() -> None:
    picture = np.zeros((90, 160, 3), np.uint8)
    picture[..., 0], picture[..., 1] = np.arange(160), np.arange(90)[:, None]
    found = squares([picture], 32, 200, (0,))
    assert {one.shape for one in found} == {(32, 32, 3)}
    across = [one[..., 0].mean() for one in found]
    assert min(across) < 40
    assert max(across) > 120
    widths = [float(np.ptp(one[..., 1])) for one in found]
    assert min(widths) < 50
    assert max(widths) > 80
    mirrored = [one[16, 0, 0] > one[16, -1, 0] for one in found]
    assert 0.3 < np.mean(mirrored) < 0.7


def test_the_same_seed_gives_the_same_squares() -> None:
    pictures = [np.random.default_rng(n).integers(0, 256, (70, 80, 3), np.uint8) for n in range(5)]
    one, same, other = (squares(pictures, 16, 3, seed) for seed in ((0, 7), (0, 7), (0, 8)))
    np.testing.assert_array_equal(one, same)
    assert np.any(np.array(one) != np.array(other))


def test_pictures_and_videos_are_read_and_made_as_small_as_can_be(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "large.png"), np.zeros((800, 1200, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "tiny.png"), np.zeros((20, 20, 3), np.uint8))
    found, left_out = pictures_of([tmp_path, media.path("bikes.mp4")], 96)
    assert found[0].shape == (192, 288, 3)
    assert 200 < len(found) <= MOST_IN_MEMORY
    assert {one.shape for one in found[1:]} == {(192, 452, 3)}
    assert left_out == []


def test_many_pictures_are_taken_evenly_from_all_sources(tmp_path: Path) -> None:
    for folder, level in (("a", 10), ("b", 200)):
        (tmp_path / folder).mkdir()
        for n in range(MOST_IN_MEMORY - 1):
            cv2.imwrite(str(tmp_path / folder / f"{n}.png"), np.full((64, 64, 3), level, np.uint8))
    found, _ = pictures_of([tmp_path / "a", tmp_path / "b"], 32)
    assert len(found) == MOST_IN_MEMORY
    assert abs(sum(one.mean() > 100 for one in found) - MOST_IN_MEMORY / 2) <= 1


def test_what_cannot_be_read_is_left_out_and_reported(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "good.png"), np.zeros((80, 80, 3), np.uint8))
    (tmp_path / "broken.jpg").write_bytes(b"broken")
    (tmp_path / "being-written.mp4").write_bytes(media.path("bikes.mp4").read_bytes()[:9000])
    found, left_out = pictures_of([tmp_path], 96)
    assert len(found) == 1
    assert len(left_out) == 2


def test_what_cannot_be_read_does_not_count_if_the_source_does_not_say_how_much_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "length", lambda _sequence: None)
    monkeypatch.setattr(images, "MOST_IN_MEMORY", 2)
    for n in range(2):
        cv2.imwrite(str(tmp_path / f"{n}.png"), np.zeros((80, 80, 3), np.uint8))
        (tmp_path / f"broken-{n}.jpg").write_bytes(b"broken")
    found, left_out = pictures_of([tmp_path], 96)
    assert (len(found), len(left_out)) == (2, 2)


def test_sources_without_pictures_are_reported(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "tiny.png"), np.zeros((20, 20, 3), np.uint8))
    (tmp_path / "broken.jpg").write_bytes(b"broken")
    with pytest.raises(
        TrainingError, match=r"no image with at least 64 pixels(?s:.)*broken\.jpg: not a readable image"
    ):
        pictures_of([tmp_path], 96)
    with pytest.raises(MediaError, match="no such file or folder"):
        pictures_of([tmp_path / "none"], 96)


def test_a_preview_shows_the_painting_and_pictures_above_what_became_of_them(tmp_path: Path) -> None:
    painting = np.full((100, 50, 3), (0, 0, 255), np.uint8)
    before, after = np.full((64, 64, 3), 50, np.uint8), np.full((64, 64, 3), 200, np.uint8)
    write_preview(tmp_path / "p.jpg", painting, [before, before], [after, after])
    sheet = cv2.imread(str(tmp_path / "p.jpg"))
    assert sheet is not None
    assert sheet.shape == (128, 64 + 2 * 64, 3)
    assert np.abs(sheet[:, :60].astype(int) - (0, 0, 255)).mean() < 5
    assert np.abs(sheet[:60, 70:].astype(int) - 50).mean() < 3
    assert np.abs(sheet[70:, 70:].astype(int) - 200).mean() < 3
