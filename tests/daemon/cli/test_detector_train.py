"""`sightd detector train`: from labelled frames to a model that a configuration can name."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import cv2
import pytest

from sightd.daemon.cli.main import main
from sightd.engines.models.catalog import Catalog
from sightd.engines.models.custom_models import with_custom_models
from sightd.engines.models.store import default_directory
from tests.support import media
from tests.support.networks import stored
from tests.support.own_objects import LABELS, scene, write_coco

pytestmark = [pytest.mark.computing, pytest.mark.timeout(900)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with labelled frames in `yard`, and a model store of its own with the base model in it."""
    film, base = media.path("single_face.mp4"), stored("yolox-nano")
    monkeypatch.setenv("SIGHTD_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    store = default_directory(os.environ)
    store.mkdir(parents=True)
    for file in (base, base.with_suffix(".json")):
        shutil.copy(file, store)
    write_coco(tmp_path / "yard", scene(film, (0, 2.4), 20, 1), "yard")
    return store


def train(*more: str) -> int:
    quick = ["--steps", "2", "--batch", "2", "--every", "1", "--hold-out", "0.4"]
    return main(["detector", "train", "yard/labels.json", "--name", "yard", *quick, *more])


@pytest.mark.slow
def test_what_was_trained_can_be_named_listed_quantized_and_analysed(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'sightd[train]'")
    assert train("--int8") == 0
    told = capsys.readouterr()
    assert "to use it: plugins: {detector: {model: yard}}" in told.out
    assert "step 2: loss " in told.err
    report = json.loads(Path("yard-report/report.json").read_text())
    assert report["before"]["map50"] == 0
    assert report["after"]["frames"] == 4
    assert [one["label"] for one in report["after"]["classes"]] == list(LABELS)
    assert len(report["confusion"]) == 3
    assert cv2.imread("yard-report/confusion.png") is not None
    assert not list(Path("yard-training").iterdir()), "neither checkpoint nor frozen layers are left"
    known = with_custom_models(Catalog.load(), folder)
    assert known.get("yard").labels == known.get("yard-int8").labels == LABELS
    assert main(["models", "list"]) == 0
    assert "yard-int8" in capsys.readouterr().out
    for model in ("yard", "yard-int8", "{file: yard-report/yard.onnx, head: yolox, labels: yard-report/yard.txt}"):
        out = tmp_path / "found.jsonl"
        chain = ["--chain", "detector", "--set", f"detector.model={model}", "--set", "detector.min_score=0"]
        assert main(["analyze", *chain, "yard/0001.jpg", "--out", str(out)]) == 0
        assert {one["class"] for one in json.loads(out.read_text())["detections"]} <= set(LABELS)


def test_one_that_is_interrupted_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'sightd[train]'")
    from sightd.daemon.tools.training.detector.trainer import Trainer

    advance = Trainer.advance

    def interrupted(self: Trainer) -> float:
        if self.step == 1:
            raise KeyboardInterrupt
        return advance(self)

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "advance", interrupted)
        assert train() == 130
    assert "run the same command to resume from the last checkpoint" in capsys.readouterr().err
    assert train() == 0
    assert "resuming from step 1" in capsys.readouterr().err


def test_without_pytorch_it_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert train() == 1
    assert "requires PyTorch, which is not installed: .venv/bin/pip install 'sightd[train]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere"], 1, "nowhere: expected a dataset folder"),
        (["yard/0001.jpg"], 1, "0001.jpg: not JSON"),
        (["yard/labels.json", "--name", "yunet"], 1, "'yunet' is built in"),
        (["yard/labels.json", "--base", "nothing"], 2, "unknown model 'nothing'"),
        (["yard/labels.json", "--base", "yunet"], 1, "--base yunet is not a detector of the YOLOX family"),
        (["yard/labels.json", "--report", "yard/0001.jpg"], 1, "File exists"),
        (["yard/labels.json", "--hold-out", "0.05"], 1, "20 labelled frames are too few to hold out 5%"),
    ],
)
def test_what_cannot_be_done_is_told_before_the_work(
    arguments: list[str], code: int, message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'sightd[train]'")
    assert main(["detector", "train", *arguments]) == code
    assert message in capsys.readouterr().err
    assert not (folder / "own").exists()


@pytest.mark.parametrize(
    "option", [["--steps", "0"], ["--rate", "nan"], ["--hold-out", "1"], ["--seed", "-1"], ["--batch", "x"]]
)
def test_numbers_that_mean_nothing_are_refused(option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["detector", "train", "yard", *option])
    assert ended.value.code == 2
    assert option[0] in capsys.readouterr().err
