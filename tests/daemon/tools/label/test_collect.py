"""Proposals become labels: which frames are confirmed, and with which boxes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from sightd.daemon.tools.label.collect import accept, propose
from sightd.daemon.tools.label.dataset import Dataset
from sightd.daemon.tools.label.finder import Finder
from sightd.daemon.tools.label.labelled import Box, LabelledFrame, State
from sightd.engines.geometry import iou
from sightd.engines.models.catalog import Catalog
from sightd.engines.progress import silent
from tests.support import media
from tests.support.networks import stored

pytestmark = pytest.mark.computing


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Frames a.png with proposals of scores 0, 0.5 and 0.8, b.png proposed without a box, c.png new."""
    made = Dataset.create(tmp_path / "yard", ["parcel"])
    boxes = tuple(Box(0, (10 * n, 5, 10 * n + 8, 30), State.PROPOSED, score) for n, score in enumerate((0, 0.5, 0.8)))
    frames = (("a", boxes, State.PROPOSED), ("b", (), State.PROPOSED), ("c", (), State.NEW))
    for shade, (name, found, state) in enumerate(frames):
        content = cv2.imencode(".png", np.full((40, 60, 3), 80 * shade, np.uint8))[1].tobytes()
        made.add(content, LabelledFrame(tmp_path / f"{name}.png", 60, 40, found, state, "film.mp4"))
    return made


def states(dataset: Dataset) -> dict[str, tuple[str, int]]:
    return {frame.name[0]: (str(frame.state), len(frame.boxes)) for frame in dataset.frames}


def test_without_names_only_frames_that_keep_a_box_are_confirmed(dataset: Dataset) -> None:
    assert accept(dataset, [], 0.9) == 0
    assert states(dataset)["a"] == ("proposed", 3), "no box is left: it stays as it is"
    assert accept(dataset, [], 0.0) == 1
    assert states(dataset) == {"a": ("corrected", 3), "b": ("proposed", 0), "c": ("new", 0)}


def test_a_score_of_0_is_below_every_other_least_score(dataset: Dataset) -> None:
    assert accept(dataset, [], 0.3) == 1
    assert states(dataset)["a"] == ("corrected", 2)


def test_a_frame_without_objects_is_confirmed_by_its_name(dataset: Dataset) -> None:
    assert accept(dataset, [frame.name for frame in dataset.frames], 0.9) == 3
    assert states(dataset) == {"a": ("corrected", 0), "b": ("corrected", 0), "c": ("corrected", 0)}


def with_half_input(source: Path, target: Path) -> Path:
    """Writes the model with an input of fp16."""
    model = onnx.load(source)
    first = model.graph.input[0]
    first.type.tensor_type.elem_type = TensorProto.FLOAT16
    for node in model.graph.node:
        for n, name in enumerate(node.input):
            node.input[n] = "whole" if name == first.name else name
    model.graph.node.insert(0, helper.make_node("Cast", [first.name], ["whole"], to=TensorProto.FLOAT))
    onnx.save(model, str(target))
    return target


@pytest.fixture(params=["deimv2-femto", "yolox-nano", "an input without a stated name", "an input of fp16"])
def finder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Finder]:
    """Detectors of every form of input: with the image's size as a second one, by names and by element types."""
    name = request.param if request.param in Catalog.load().models else "yolox-nano"
    model, file = Catalog.load().get(name), stored(name)
    if "name" in request.param:
        model = replace(model, input=replace(model.input, tensor=""))
    if "fp16" in request.param:
        file = with_half_input(file, tmp_path / "half.onnx")
    finder = Finder(model, file, ["Cup"], 2)
    yield finder
    finder.close()


def test_every_detector_proposes_boxes_and_nothing_found_is_no_proposal(finder: Finder, tmp_path: Path) -> None:
    coffee = np.asarray(cv2.imread(str(media.path("coffee.png"))), np.uint8)
    dataset = Dataset.create(tmp_path / "yard", ["cup"])
    height, width = coffee.shape[:2]
    for name, image in (("cup", coffee), ("empty", np.zeros_like(coffee))):
        content = cv2.imencode(".png", image)[1].tobytes()
        dataset.add(content, LabelledFrame(tmp_path / f"{name}.png", width, height, (), State.PROPOSED))
    frames, boxes = propose(dataset, finder, 0.3, silent)
    assert frames == 2
    assert boxes >= 1
    cup, empty = sorted(dataset.frames, key=lambda frame: frame.name)
    assert cup.state is State.PROPOSED
    best = max(cup.boxes, key=lambda box: box.score or 0)
    assert iou(np.array([best.xyxy], np.float32), np.array([[160, 16, 425, 300]], np.float32))[0, 0] > 0.8
    assert (empty.state, empty.boxes) == (State.NEW, ())
