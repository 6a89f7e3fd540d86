"""A user's own ONNX file as a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sightd.engines.errors import ModelFileError
from sightd.engines.model import ColourOrder, Model, Resize
from sightd.engines.models.custom_file import Stated, model_from_file
from sightd.engines.models.label_files import ClassNames
from tests.support.networks import Shape, write_shaped

LABELS = ["bolt", "nut"]


def stated(path: Path, head: str, **options: Any) -> Model:
    return model_from_file(path, Stated(head, ClassNames.listed(LABELS), **options))


def yolox(path: Path, picture: Shape = (1, 3, 320, 416), output: Shape = (1, 2730, 7)) -> Path:
    return write_shaped(path / "own.onnx", {"images": picture}, {"output": output})


def test_name_and_size_of_the_input_are_read_from_the_file(tmp_path: Path) -> None:
    model = stated(yolox(tmp_path), "yolox")
    assert (model.input.tensor, model.input.width, model.input.height) == ("images", 416, 320)
    assert (model.name, model.head, model.labels) == ("own", "yolox", ("bolt", "nut"))
    assert model.path == tmp_path / "own.onnx"
    assert model.sources == ()


def test_a_head_says_what_its_network_is_fed_unless_the_user_does(tmp_path: Path) -> None:
    path = write_shaped(tmp_path / "own.onnx", {"x": ("b", 3, 300, 300)}, {"boxes": ("b", 9, 4), "scores": ("b", 9, 2)})
    usual = stated(path, "ssd").input
    assert (usual.colour, usual.resize, usual.scale) == (ColourOrder.RGB, Resize.STRETCH, 1.0)
    own = stated(path, "ssd", colour=ColourOrder.BGR, scale=1 / 255, std=(0.2, 0.2, 0.2)).input
    assert (own.colour, own.resize, own.scale, own.std) == (ColourOrder.BGR, Resize.STRETCH, 1 / 255, (0.2, 0.2, 0.2))


def test_nanodet_is_normalised_as_its_authors_do(tmp_path: Path) -> None:
    spec = stated(yolox(tmp_path, output=(1, 2730, 34)), "nanodet").input
    assert (spec.colour, spec.mean, spec.std) == (
        ColourOrder.BGR, (103.53, 116.28, 123.675), (57.375, 57.12, 58.395),
    )  # fmt: skip


def test_a_size_that_the_file_leaves_open_is_640_unless_it_is_stated(tmp_path: Path) -> None:
    path = yolox(tmp_path, picture=(1, 3, "height", "width"), output=(1, "n", 7))
    assert (stated(path, "yolox").input.width, stated(path, "yolox").input.height) == (640, 640)
    with pytest.raises(ModelFileError, match="cannot run at 640x360: width and height must be multiples of 32"):
        stated(path, "yolox", size=(640, 360))
    assert stated(path, "yolox", size=(640, 384)).input.height == 384


def test_a_size_that_the_file_does_not_take_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="cannot run at 640x640"):
        stated(yolox(tmp_path), "yolox", size=(640, 640))


@pytest.mark.parametrize(
    "inputs",
    [{"x": (1, 1, 8, 8)}, {"x": (1, 3)}, {"x": (1, 3, 8, 8), "y": (1, 3, 8, 8)}, {"x": (1, 3, 8, 8), "y": (1, 2)}],
)
def test_a_file_that_does_not_take_one_picture_is_refused_with_what_it_takes(
    tmp_path: Path, inputs: dict[str, Shape]
) -> None:
    path = write_shaped(tmp_path / "own.onnx", inputs, {"output": (1, 9, 7)})
    with pytest.raises(ModelFileError, match=r"has the input x \[.*must have one image \[batch, 3, height, width\]"):
        stated(path, "yolox")


@pytest.mark.parametrize("head", ["yolox", "ssd"])
def test_labels_that_are_not_as_many_as_the_classes_are_refused(tmp_path: Path, head: str) -> None:
    outputs: dict[str, Shape] = {"output": (1, 3, 85)}
    if head == "ssd":
        outputs = {"boxes": (1, 9, 4), "scores": (1, 9, 80)}
    path = write_shaped(tmp_path / "own.onnx", {"x": (1, 3, 8, 8)}, outputs)
    with pytest.raises(ModelFileError, match=f"80 classes .head {head}., but 2 labels"):
        stated(path, head)


def test_broken_and_absent_files_and_unknown_heads_are_told(tmp_path: Path) -> None:
    path = yolox(tmp_path)
    with pytest.raises(ModelFileError, match="unknown head 'yolov9'"):
        stated(path, "yolov9")
    path.write_bytes(b"<html>")
    with pytest.raises(ModelFileError, match=r"own\.onnx"):
        stated(path, "yolox")
    with pytest.raises(ModelFileError, match="No such file"):
        stated(tmp_path / "absent.onnx", "yolox")
