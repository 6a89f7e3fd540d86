"""The image crops that a style is trained with."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from sightd.daemon.analyze.media import MediaError
from sightd.daemon.training.errors import TrainingError
from sightd.daemon.training.style import crops
from sightd.daemon.training.style.crops import MOST, pictures_of, squares
from tests.support import media


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
    assert 200 < len(found) <= MOST
    assert {one.shape for one in found[1:]} == {(192, 452, 3)}
    assert left_out == []


def test_many_pictures_are_taken_evenly_from_all_sources(tmp_path: Path) -> None:
    for folder, level in (("a", 10), ("b", 200)):
        (tmp_path / folder).mkdir()
        for n in range(MOST - 1):
            cv2.imwrite(str(tmp_path / folder / f"{n}.png"), np.full((64, 64, 3), level, np.uint8))
    found, _ = pictures_of([tmp_path / "a", tmp_path / "b"], 32)
    assert len(found) == MOST
    assert abs(sum(one.mean() > 100 for one in found) - MOST / 2) <= 1


def test_what_cannot_be_read_is_left_out_and_told(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "good.png"), np.zeros((80, 80, 3), np.uint8))
    (tmp_path / "broken.jpg").write_bytes(b"broken")
    (tmp_path / "being-written.mp4").write_bytes(media.path("bikes.mp4").read_bytes()[:9000])
    found, left_out = pictures_of([tmp_path], 96)
    assert len(found) == 1
    assert len(left_out) == 2


def test_what_cannot_be_read_does_not_count_if_the_source_does_not_say_how_much_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crops, "length", lambda _sequence: None)
    monkeypatch.setattr(crops, "MOST", 2)
    for n in range(2):
        cv2.imwrite(str(tmp_path / f"{n}.png"), np.zeros((80, 80, 3), np.uint8))
        (tmp_path / f"broken-{n}.jpg").write_bytes(b"broken")
    found, left_out = pictures_of([tmp_path], 96)
    assert (len(found), len(left_out)) == (2, 2)


def test_sources_without_pictures_are_told(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "tiny.png"), np.zeros((20, 20, 3), np.uint8))
    (tmp_path / "broken.jpg").write_bytes(b"broken")
    with pytest.raises(
        TrainingError, match=r"no image with at least 64 pixels(?s:.)*broken\.jpg: not a readable image"
    ):
        pictures_of([tmp_path], 96)
    with pytest.raises(MediaError, match="no such file or folder"):
        pictures_of([tmp_path / "none"], 96)
