"""`sightd style`: the names, and a sheet with samples of them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from sightd.daemon.cli.main import main
from sightd.engines.labels import STYLES
from sightd.plugins.configuration import registry
from tests.support.networks import stored


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8))
    return path


def test_every_style_is_listed_by_the_name_that_the_configuration_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["style", "list"]) == 0
    assert capsys.readouterr().out.split() == list(STYLES)


def test_the_sheet_shows_the_photograph_in_every_style(photo: Path, tmp_path: Path) -> None:
    stored("style26")
    out = tmp_path / "sheet.png"
    assert main(["style", "sheet", str(photo), "--side", "64", "--out", str(out)]) == 0
    sheet = cv2.imread(str(out))
    assert sheet is not None
    assert sheet.shape == (4 * 64, 7 * 64, 3)
    tiles = sheet.reshape(4, 64, 7, 64, 3).swapaxes(1, 2).reshape(28, -1)
    assert len({tile.tobytes() for tile in tiles}) == 27, "26 styles that differ, and the photograph twice"


def test_without_a_style_plug_in_no_sheet_is_made(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "entry_points", lambda group: [])
    assert main(["style", "sheet", str(photo), "--out", str(tmp_path / "sheet.png")]) == 3
    assert 'there is no plug-in "style"' in capsys.readouterr().err


def test_a_photograph_that_is_not_there_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["style", "sheet", str(tmp_path / "none.jpg"), "--out", str(tmp_path / "s.png")]) == 1
    assert "none.jpg" in capsys.readouterr().err


@pytest.mark.parametrize("out", ["sheet.txt", "nowhere/sheet.png"])
def test_a_file_that_cannot_be_written_is_reported_before_anything_is_painted(
    out: str, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["style", "sheet", str(photo), "--side", "64", "--out", str(tmp_path / out)]) == 1
    assert "must be a .jpg or .png file in an existing folder" in capsys.readouterr().err
