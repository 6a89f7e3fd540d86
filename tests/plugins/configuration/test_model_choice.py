"""How a model is selected in the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from pydantic import ValidationError

from sightd.engines.heads import HEAD_FORMATS
from sightd.engines.model import ColourOrder, Model, Resize
from sightd.engines.models.catalog import Catalog
from sightd.plugins.api import PluginError
from sightd.plugins.configuration.model_choice import HeadName, ModelChoice
from sightd.plugins.detector.heads.registry import HEADS
from tests.support.onnx_models import constant_network


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return constant_network(tmp_path / "own.onnx", (64, 32), {"output": np.zeros((42, 7), np.float32)})


def resolve(value: object) -> list[str | Model]:
    return ModelChoice.model_validate(value).resolve()


def own(value: object) -> Model:
    (model,) = resolve(value)
    assert isinstance(model, Model)
    return model


def test_a_name_is_a_choice_of_one() -> None:
    assert resolve("yolox-tiny") == ["yolox-tiny"]


def test_a_list_is_an_order_of_preference() -> None:
    assert resolve(["yolox-tiny", "ssd-mobilenet-v2"]) == ["yolox-tiny", "ssd-mobilenet-v2"]


def test_a_file_becomes_a_model_with_the_users_labels(file: Path) -> None:
    model = own({"file": str(file), "head": "yolox", "labels": ["bolt", "nut"]})
    assert (model.path, model.head, model.labels) == (file, "yolox", ("bolt", "nut"))
    assert (model.input.width, model.input.height, model.input.tensor) == (64, 32, "images")


def test_what_the_file_is_fed_can_be_stated(file: Path) -> None:
    spec = own({"file": str(file), "head": "yolox", "labels": ["a", "b"], "colour": "RGB", "resize": "stretch"}).input
    assert (spec.colour, spec.resize) == (ColourOrder.RGB, Resize.STRETCH)


def test_files_and_names_mix_in_a_list(file: Path) -> None:
    first, second = resolve([{"file": str(file), "head": "yolox", "labels": ["a", "b"]}, "yolox-tiny"])
    assert isinstance(first, Model)
    assert second == "yolox-tiny"


def test_labels_may_stand_in_a_text_file_one_a_line(file: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("\ufeffbolt \r\nnüt\n\n", encoding="utf-8")
    assert own({"file": str(file), "head": "yolox", "labels": str(labels)}).labels == ("bolt", "nüt")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (None, r"cannot read labels file .*labels.txt \(No such file"),
        (b"", "labels.txt is empty"),
        (b"bolt\n\nnut\n", "labels.txt: line 2 is empty"),
        (b"bolt\nm\xfctter\n", r"labels.txt: line 2, column 2 \(byte 0xfc\) is not UTF-8: save it as UTF-8"),
    ],
)
def test_a_labels_file_of_no_use_is_named(file: Path, tmp_path: Path, text: bytes | None, complaint: str) -> None:
    labels = tmp_path / "labels.txt"
    if text is not None:
        labels.write_bytes(text)
    with pytest.raises(PluginError, match=complaint):
        resolve({"file": str(file), "head": "yolox", "labels": str(labels)})


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"file": "own.onnx", "head": "yolox", "labels": []}, ("file", "labels", "list")),
        ({"file": "own.onnx", "head": "yolox", "labels": ["a"], "color": "RGB"}, ("file", "color")),
        ({"file": "own.onnx", "head": "yolov99", "labels": ["a"]}, ("file", "head")),
        (["yolox-tiny", {"head": "yolox", "labels": ["a"]}], ("list", 1, "file", "file")),
        ({"file": "own.onnx", "head": "yolox", "labels": ["a"], "width": 320}, ("file",)),
        ([], ("list",)),
        ("", ("name",)),
        (7, ("name",)),
    ],
)
def test_a_fault_is_told_once_and_where_it_is(value: Any, where: tuple[str | int, ...]) -> None:
    with pytest.raises(ValidationError) as told:
        ModelChoice.model_validate(value)
    assert [error["loc"] for error in told.value.errors()] == [where]


@pytest.mark.parametrize(
    ("value", "path", "message"),
    [
        ("yolox-tinny", (), 'unknown model "yolox-tinny"; did you mean "yolox-tiny"?'),
        (["yolox-nano", "YOLOX_S"], (1,), 'unknown model "YOLOX_S"; did you mean "yolox-s"?'),
        ({"file": "none.onnx", "head": "ssd", "labels": ["a"]}, ("file",), "cannot read none.onnx: No such file"),
        (
            {"file": "/proc/version", "head": "ssd", "labels": "no.txt"},
            ("labels",),
            "cannot read labels file no.txt",
        ),
        (
            ["yolox-nano", {"file": "/", "head": "ssd", "labels": ["a"]}],
            (1, "file"),
            "cannot read /: a directory, not a regular",
        ),
    ],
)
def test_what_cannot_be_had_is_told_before_anything_is_loaded(
    value: Any, path: tuple[str | int, ...], message: str
) -> None:
    (problem,) = ModelChoice.model_validate(value).problems(Catalog.load())
    assert problem.path == path
    assert message in problem.message


def test_what_can_be_named_is_the_callers_to_say() -> None:
    known = Catalog({"own-int8": Catalog.load().get("yolox-nano")})
    assert ModelChoice.model_validate("own-int8").problems(known) == []
    assert [problem.path for problem in ModelChoice.model_validate("yolox-nano").problems(known)] == [()]


def test_every_head_that_can_be_named_has_its_decoder_and_its_usual_input() -> None:
    assert set(get_args(HeadName)) == set(HEADS) == set(HEAD_FORMATS)
