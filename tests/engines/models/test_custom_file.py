"""A user's own ONNX file as a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightd.engines.errors import ModelFileError
from sightd.engines.model import ColourOrder, Resize
from sightd.engines.models.custom_file import model_from_file
from tests.support.networks import Shape, write_shaped

LABELS = ["bolt", "nut"]


def yolox(path: Path, picture: Shape = (1, 3, 320, 416), output: Shape = (1, 2730, 7)) -> Path:
    return write_shaped(path / "own.onnx", {"images": picture}, {"output": output})


def test_name_and_size_of_the_input_are_read_from_the_file(tmp_path: Path) -> None:
    model = model_from_file(yolox(tmp_path), "yolox", LABELS)
    assert (model.input.tensor, model.input.width, model.input.height) == ("images", 416, 320)
    assert (model.name, model.head, model.labels) == ("own", "yolox", ("bolt", "nut"))
    assert model.path == tmp_path / "own.onnx"
    assert model.sources == ()


def test_a_head_says_what_its_network_is_fed_unless_the_user_does(tmp_path: Path) -> None:
    path = write_shaped(tmp_path / "own.onnx", {"x": ("b", 3, 300, 300)}, {"boxes": ("b", 9, 4), "scores": ("b", 9, 2)})
    usual = model_from_file(path, "ssd", LABELS).input
    assert (usual.colour, usual.resize, usual.scale) == (ColourOrder.RGB, Resize.STRETCH, 1.0)
    own = model_from_file(path, "ssd", LABELS, colour=ColourOrder.BGR, scale=1 / 255, std=(0.2, 0.2, 0.2)).input
    assert (own.colour, own.resize, own.scale, own.std) == (ColourOrder.BGR, Resize.STRETCH, 1 / 255, (0.2, 0.2, 0.2))


def test_nanodet_is_normalised_as_its_authors_do(tmp_path: Path) -> None:
    spec = model_from_file(yolox(tmp_path, output=(1, 2730, 34)), "nanodet", LABELS).input
    assert (spec.colour, spec.mean, spec.std) == (
        ColourOrder.BGR, (103.53, 116.28, 123.675), (57.375, 57.12, 58.395),
    )  # fmt: skip


def test_a_size_that_the_file_leaves_open_must_be_stated(tmp_path: Path) -> None:
    path = yolox(tmp_path, picture=(1, 3, "height", "width"))
    with pytest.raises(ModelFileError, match="whose size is not fixed"):
        model_from_file(path, "yolox", LABELS)
    assert model_from_file(path, "yolox", LABELS, size=(640, 384)).input.height == 384


def test_a_size_that_the_file_does_not_take_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="cannot run at 640x640"):
        model_from_file(yolox(tmp_path), "yolox", LABELS, size=(640, 640))


@pytest.mark.parametrize(
    "inputs", [{"x": (1, 1, 8, 8)}, {"x": (1, 8, 8, 3)}, {"x": (1, 3)}, {"x": (1, 3, 8, 8), "y": (1, 3, 8, 8)}]
)
def test_a_file_that_does_not_take_one_picture_is_refused_with_what_it_takes(
    tmp_path: Path, inputs: dict[str, Shape]
) -> None:
    path = write_shaped(tmp_path / "own.onnx", inputs, {"output": (1, 9, 7)})
    with pytest.raises(ModelFileError, match=r"has the input x \[.*must have one image \[batch, 3, height, width\]"):
        model_from_file(path, "yolox", LABELS)


@pytest.mark.parametrize("head", ["yolox", "ssd"])
def test_labels_that_are_not_as_many_as_the_classes_are_refused(tmp_path: Path, head: str) -> None:
    outputs: dict[str, Shape] = {"output": (1, 9, 85)}
    if head == "ssd":
        outputs = {"boxes": (1, 9, 4), "scores": (1, 9, 80)}
    path = write_shaped(tmp_path / "own.onnx", {"x": (1, 3, 8, 8)}, outputs)
    with pytest.raises(ModelFileError, match="80 classes, but 2 labels"):
        model_from_file(path, head, LABELS)


def test_broken_and_absent_files_and_unknown_heads_are_told(tmp_path: Path) -> None:
    path = yolox(tmp_path)
    with pytest.raises(ModelFileError, match="unknown head 'yolo'"):
        model_from_file(path, "yolo", LABELS)
    path.write_bytes(b"<html>")
    with pytest.raises(ModelFileError, match=r"own\.onnx"):
        model_from_file(path, "yolox", LABELS)
    with pytest.raises(ModelFileError, match="No such file"):
        model_from_file(tmp_path / "absent.onnx", "yolox", LABELS)
