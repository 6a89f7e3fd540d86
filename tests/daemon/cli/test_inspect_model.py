"""`sightd models inspect` says what a file contains, why, and what to write."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sightd.daemon.cli.main import main
from sightd.daemon.config.load import load_text
from sightd.daemon.config.plugin_entries import installed_plugins
from tests.plugins.detector.heads.families import WRITERS
from tests.support.exports import ultralytics, write_export


@pytest.fixture
def best(tmp_path: Path) -> Path:
    outputs = WRITERS["yolo"](np.random.default_rng(1))
    return write_export(tmp_path / "best.onnx", outputs, metadata=ultralytics())


@pytest.fixture
def unclear(tmp_path: Path) -> Path:
    outputs = WRITERS["yolo-nas"](np.random.default_rng(1))
    return write_export(tmp_path / "unclear.onnx", {"a": outputs["boxes"], "b": outputs["scores"]})


def test_a_recognised_file_is_explained_with_the_reasons(best: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "inspect", str(best)]) == 0
    told = capsys.readouterr().out
    for part in (
        "head      yolo:",
        "96x64, RGB, letterbox-centre",
        "classes   3: class 0, class 1, class 2",
        "because   the metadata says: task detect, 3 class names, size 96x64",
        f"write     model: {best}",
    ):
        assert part in told


def test_what_it_says_to_write_is_a_valid_configuration(best: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["models", "inspect", str(best), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert (told["usable"], told["head"], told["problem"]) == (True, "yolo", None)
    text = f"chain: [detector]\nplugins:\n  detector:\n    {told['write']}\n    classes: [class 1]\n"
    loaded = load_text(text, best.with_name("sightd.yaml"), environ={}, plugins=installed_plugins(), cameras=False)
    assert loaded.config.chain == ["detector"]


def test_an_unclear_file_lists_the_heads_and_what_to_write(unclear: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "inspect", str(unclear)]) == 1
    told = capsys.readouterr().out
    assert "head: ssd or yolo-nas or detr or rf-detr" in told
    assert "labels: a file of class names, or a list" in told
    assert "yolo-nas: boxes [b, n, 4] x1, y1, x2, y2 in pixels" in told
    labels = unclear.with_name("labels.txt")
    labels.write_text("bolt\nnut\nscrew\n")
    assert main(["models", "inspect", str(unclear), "--labels", str(labels)]) == 1
    assert "fits several heads" in capsys.readouterr().out
    assert main(["models", "inspect", str(unclear), "--labels", str(labels), "--head", "yolo-nas"]) == 0
    assert f"head: yolo-nas\n              labels: {labels}" in capsys.readouterr().out


@pytest.mark.parametrize("as_json", [False, True])
def test_a_file_that_is_none_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str], *, as_json: bool) -> None:
    wrong = tmp_path / "page.onnx"
    wrong.write_bytes(b"<html>")
    assert main(["models", "inspect", str(wrong), *(["--json"] if as_json else [])]) == 1
    told = capsys.readouterr()
    assert "page.onnx is a web page or XML, not a model: download the file itself" in (
        told.out if as_json else told.err
    )
    assert main(["models", "inspect", str(tmp_path / "absent.onnx")]) == 1
    assert "No such file" in capsys.readouterr().err


def test_names_from_a_file_cannot_control_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = WRITERS["yolo"](np.random.default_rng(1))
    names = {0: "a\x1b[2J", 1: "b", 2: "c"}
    main(["models", "inspect", str(write_export(tmp_path / "x.onnx", outputs, metadata=ultralytics(names=names)))])
    told = capsys.readouterr().out
    assert "\x1b" not in told
    assert "a\\x1b[2J" in told
