"""Custom models are tried within bounds before they are used."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sightd.engines.errors import ModelFileError
from sightd.engines.model import ColourOrder, InputSpec, Model, Resize
from sightd.engines.models.catalog import Catalog
from sightd.engines.sessions.onnxruntime import trial
from sightd.engines.sessions.onnxruntime.trial import require_bounded
from tests.support.hostile_networks import HUNGRY, classifier, endless, loop, node
from tests.support.networks import stored


def model_of(path: Path) -> Model:
    return Model("own", "classifier", "logits", "", InputSpec("x", 32, 32, ColourOrder.RGB, Resize.STRETCH), path=path)


@pytest.mark.parametrize("what", HUNGRY)
def test_a_network_that_takes_endless_memory_is_refused(what: str, tmp_path: Path) -> None:
    path = HUNGRY[what](tmp_path / "bomb.onnx")
    assert path.stat().st_size < 2000
    with pytest.raises(ModelFileError, match=r"bomb\.onnx needs more than 4\.0 GiB of memory to process one image"):
        require_bounded(model_of(path))


def refusal(model: Model) -> str | None:
    """Why `require_bounded` refuses a model, or None if it does not."""
    try:
        require_bounded(model)
    except ModelFileError as error:
        return str(error)
    return None


def test_a_network_that_never_ends_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "_CPU_S", 2)
    with pytest.raises(ModelFileError, match=r"bomb\.onnx needs more than 2 s of CPU time to load and process"):
        require_bounded(model_of(endless(tmp_path / "bomb.onnx")))


def test_a_loop_that_ends_is_taken(tmp_path: Path) -> None:
    assert refusal(model_of(classifier(tmp_path / "loop.onnx", *loop(100)))) is None


def test_a_file_is_tried_again_only_if_it_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = classifier(tmp_path / "own.onnx", [node("Identity", "x")])
    require_bounded(model_of(path))
    with monkeypatch.context() as changed:
        changed.setattr(sys, "executable", "/nonexistent")
        require_bounded(model_of(path))
    HUNGRY["Tile"](path)
    with pytest.raises(ModelFileError, match="memory"):
        require_bounded(model_of(path))


def test_a_file_that_no_library_can_load_is_left_to_the_code_that_opens_it(tmp_path: Path) -> None:
    assert refusal(model_of(classifier(tmp_path / "odd.onnx", [node("NoSuchOperator", "x")]))) is None


@pytest.mark.parametrize("name", ["ssd-mobilenet-v2", "yolox-nano", "style26", "mobilenet-v2", "sface", "yunet"])
def test_networks_of_the_catalogue_are_within_the_bounds(name: str) -> None:
    assert refusal(replace(Catalog.load().get(name), path=stored(name))) is None
