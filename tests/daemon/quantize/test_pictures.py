"""Calibration images from recordings."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from sightd.daemon.analyze.media import MediaError
from sightd.daemon.quantize.pictures import CalibrationPictures


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of 100 images, each as bright as its number."""
    for number in range(100):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((4, 4, 3), number, np.uint8))
    return tmp_path


def silent(_line: str) -> None:
    """Ignores messages, for sources whose files can all be read."""


def test_they_are_spread_evenly_and_every_fifth_is_kept_back(folder: Path) -> None:
    pictures = CalibrationPictures([folder], 10, silent)
    assert pictures.expected == 10
    assert [int(picture.max()) for picture in pictures] == [0, 10, 20, 30, 50, 60, 70, 80]
    assert [int(frame.host().max()) for frame in pictures.held_out] == [40, 90]


def test_where_there_are_fewer_all_are_used(folder: Path) -> None:
    pictures = CalibrationPictures([folder], 1000, silent)
    assert len(list(pictures)) + len(pictures.held_out) == 100


def test_too_few_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "only.png"
    cv2.imwrite(str(path), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(MediaError, match="only 1 readable images"):
        list(CalibrationPictures([path], 10, silent))


def test_a_source_that_is_not_there_is_told_before_anything_is_done(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no such file"):
        CalibrationPictures([tmp_path / "absent.mp4"], 10, silent)


def test_files_that_cannot_be_read_are_reported_and_the_others_used(folder: Path) -> None:
    (folder / "10.png").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("of the camera")
    reported = list[str]()
    pictures = CalibrationPictures([folder], 10, reported.append)
    assert [int(picture.max()) for picture in pictures] == [0, 11, 21, 31, 51, 61, 71, 81]
    assert pictures.used == 8
    notes, damaged = reported
    assert notes.startswith(f"{folder / 'notes.txt'}: skipped, ")
    assert damaged.startswith(f"{folder / '10.png'}: not a readable image")


def test_sources_without_one_readable_picture_are_refused(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.png").write_bytes(b"no picture")
    reported = list[str]()
    with pytest.raises(MediaError, match="only 0 readable images"):
        list(CalibrationPictures([tmp_path], 10, reported.append))
    assert len(reported) == 5
