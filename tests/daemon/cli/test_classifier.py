"""`sightd classifier train`: from folders of photographs to a model that a configuration can name."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from sightd.daemon.cli.main import main
from sightd.engines.models.catalog import Catalog
from sightd.engines.models.custom_models import with_custom_models
from sightd.engines.models.store import default_directory
from tests.support.faces import photo
from tests.support.networks import stored

pytestmark = pytest.mark.computing

EACH = 6
CLASSES = {"cat": "chelsea.png", "coffee": "coffee.png", "motorcycle": "motorcycle_left.png"}


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """A few crops of each of three photographs, in a folder per class."""
    random = np.random.default_rng(0)
    for label, name in CLASSES.items():
        image = photo(name)
        (tmp_path / "things" / label).mkdir(parents=True)
        for n in range(EACH):
            height, width = (int(side * random.uniform(0.5, 0.8)) for side in image.shape[:2])
            top, left = (int(random.integers(0, image.shape[n] - side)) for n, side in enumerate((height, width)))
            cut = image[top : top + height, left : left + width]
            cv2.imwrite(str(tmp_path / "things" / label / f"{n}.png"), cut)
    return tmp_path / "things"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A separate model store with the base model in it."""
    base = stored("mobilenet-v2")
    monkeypatch.setenv("SIGHTD_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    folder = default_directory(os.environ)
    folder.mkdir(parents=True)
    for file in (base, base.with_suffix(".json")):
        shutil.copy(file, folder)
    return folder


@pytest.mark.slow
def test_what_was_trained_can_be_named_and_knows_its_classes(
    photographs: Path, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photographs / "cat" / "broken.jpg").write_bytes(b"no picture")
    assert main(["classifier", "train", str(photographs)]) == 0
    told = capsys.readouterr()
    assert "accuracy 100.0%, cross-validated" in told.out
    assert "to use it: plugins: {classifier: {model: things}}" in told.out
    assert "skipped: " in told.err
    assert "broken.jpg" in told.err
    model = with_custom_models(Catalog.load(), store).get("things")
    assert (model.role, model.head, model.labels) == ("classifier", "logits", tuple(CLASSES))
    report = json.loads((tmp_path / "things-report" / "report.json").read_text())
    assert report["confusion"] == (EACH * np.eye(3)).tolist()
    matrix = cv2.imread(str(tmp_path / "things-report" / "confusion.png"))
    assert matrix is not None
    for options in (
        ["--set", "classifier.model=things"],
        ["--set", "classifier.model={file: things-report/things.onnx, labels: things-report/things.txt}"],
    ):
        out = tmp_path / "found.jsonl"
        sample = tmp_path / "chelsea.png"
        cv2.imwrite(str(sample), photo("chelsea.png"))
        assert main(["analyze", "--chain", "classifier", *options, str(sample), "--out", str(out)]) == 0
        (best, *_) = json.loads(out.read_text())["classification"]
        assert (best["label"], best["class_id"]) == ("cat", 0)
        assert best["score"] > 0.9
    assert main(["models", "verify", "things"]) == 0
    assert main(["classifier", "train", str(photographs), "--name", "more", "--base", "things"]) == 1
    assert "--base things was trained here" in capsys.readouterr().err
    assert main(["classifier", "train", str(photographs)]) == 0, "again: it is replaced"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere"], 1, "nowhere is not a folder"),
        (["things", "--name", "yunet"], 1, "'yunet' is built in"),
        (["things", "--name", "style26-own"], 1, "'style26-own' is built in"),
        (["things", "--base", "nothing"], 2, "unknown model 'nothing'"),
        (["things", "--base", "yunet"], 1, "--base yunet is a face-detector, not a classifier"),
        (["things", "--report", "things/cat/0.png"], 1, "File exists"),
    ],
)
def test_what_cannot_be_done_is_reported_before_the_work(
    arguments: list[str], code: int, message: str, photographs: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["classifier", "train", *arguments]) == code
    assert message in capsys.readouterr().err
    assert not (store / "own").exists()
