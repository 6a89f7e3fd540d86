"""Training from frames to a stored model: it learns, it resumes exactly, and it never stores what differs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from sightd.daemon.tools.label.labelled import Box, LabelledFrame, LabelledFrames
from sightd.daemon.tools.training.detector.shares import split
from sightd.daemon.tools.training.preflight import TrainingError
from sightd.engines.models.catalog import Catalog
from sightd.engines.models.custom_models import resized, with_custom_models
from sightd.engines.models.store import ModelStore
from sightd.engines.progress import silent
from sightd.engines.sessions.onnxruntime.cpu import OnnxRuntimeSession
from tests.support.yolox import SIDE, write_yolox

pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'sightd[train]'")

from sightd.daemon.tools.training.detector.graph import Part, YoloxGraph
from sightd.daemon.tools.training.detector.job import DetectorJob, Trained, size_hint
from sightd.daemon.tools.training.detector.trainer import Plan, Trainer

pytestmark = [pytest.mark.computing, pytest.mark.timeout(600)]


@pytest.fixture
def data(tmp_path: Path) -> LabelledFrames:
    """Grey noise with a red or a blue square each."""
    random, frames = np.random.default_rng(0), []
    for n in range(20):
        image = random.integers(80, 120, (SIDE, SIDE, 3)).astype(np.uint8)
        x, y, side = (int(random.integers(*bounds)) for bounds in ((2, 36), (2, 36), (16, 26)))
        image[y : y + side, x : x + side] = (0, 0, 250) if n % 2 else (250, 0, 0)
        path = tmp_path / f"{n:02}.png"
        cv2.imwrite(str(path), image)
        frames.append(LabelledFrame(path, SIDE, SIDE, (Box(n % 2, (x, y, x + side, y + side)),), source="film"))
    return LabelledFrames(("blue", "red"), tuple(frames))


def job(data: LabelledFrames, tmp_path: Path, plan: Plan) -> DetectorJob:
    base = write_yolox(tmp_path / "base.onnx", 5)
    (tmp_path / "work").mkdir(exist_ok=True)
    store = ModelStore(tmp_path / "store")
    return DetectorJob(data, split(data.frames, plan.held_out), base, plan, store, tmp_path / "work", 1)


def train(data: LabelledFrames, tmp_path: Path, plan: Plan, lines: list[str] | None = None) -> Trained:
    return job(data, tmp_path, plan).run("mine", silent, (lines if lines is not None else []).append)


QUICK = Plan(4, batch=2, every=2)


@pytest.mark.slow
def test_new_classes_are_learnt_behind_frozen_layers_of_random_weights(data: LabelledFrames, tmp_path: Path) -> None:
    trained = train(data, tmp_path, Plan(200, rate=5e-3, every=50, held_out=0.4))
    assert trained.after.map50 > 0.2
    assert trained.before.map50 == 0


def test_the_stored_model_has_the_new_classes_and_finds_what_was_measured(data: LabelledFrames, tmp_path: Path) -> None:
    lines: list[str] = []
    trained = train(data, tmp_path, QUICK, lines)
    assert trained.model.labels == ("blue", "red")
    assert trained.model.head == "yolox"
    assert trained.model.path is not None
    assert YoloxGraph(trained.model.path).levels, "it can be trained further"
    assert trained.after.frames == 3
    assert trained.after.objects.sum() == 3
    assert lines[0].startswith("half of the objects are at most 22 pixels")
    assert lines[1].startswith("step 2: loss ")
    assert not list((tmp_path / "work").iterdir()), "checkpoint and frozen layers are removed"


@pytest.mark.parametrize("part", Part)
def test_an_interrupted_training_ends_as_if_it_had_not_been(
    part: Part, data: LabelledFrames, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = Plan(4, batch=2, every=2, part=part)
    straight = train(data, tmp_path, plan).model.path
    assert straight is not None
    expected = YoloxGraph(straight).constants
    advance = Trainer.advance

    def interrupted(self: Trainer) -> float:
        if self.step == 3:
            raise KeyboardInterrupt
        return advance(self)

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "advance", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(data, tmp_path, plan)
    lines: list[str] = []
    resumed = train(data, tmp_path, plan, lines).model.path
    assert "resuming from step 2" in lines
    assert resumed is not None
    found = YoloxGraph(resumed).constants
    for name, constant in expected.items():
        np.testing.assert_allclose(found[name].astype(float), constant.astype(float), atol=1e-6, err_msg=name)


def test_a_checkpoint_of_other_frames_or_options_is_refused(
    data: LabelledFrames, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(self: DetectorJob, *_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(DetectorJob, "_stored", stop)
        with pytest.raises(KeyboardInterrupt):
            train(data, tmp_path, QUICK)
    with pytest.raises(TrainingError, match="belongs to other images, other options or another model"):
        train(data, tmp_path, Plan(6, batch=2, every=2))


def test_a_larger_input_is_trained_stored_and_remembered(data: LabelledFrames, tmp_path: Path) -> None:
    trained = train(data, tmp_path, Plan(2, batch=2, every=2, side=2 * SIDE))
    model = trained.model
    assert model.path is not None
    assert (model.input.width, model.input.height) == (2 * SIDE, 2 * SIDE)
    session = OnnxRuntimeSession(model.path, 1)
    assert [one.shape[2:] for one in session.inputs.values()] == [(2 * SIDE, 2 * SIDE)]
    assert [one.shape[1] for one in session.outputs.values()] == [4 * 84]
    session.close()
    base = replace(model, name="tiny", path=None, input=replace(model.input, width=SIDE, height=SIDE))
    known = with_custom_models(Catalog({"tiny": base}), tmp_path / "store").get("mine")
    assert known.input == model.input


def test_small_objects_are_told_with_what_helps(data: LabelledFrames, tmp_path: Path) -> None:
    base = write_yolox(tmp_path / "base.onnx", 5)
    assert "at most 2" in size_hint(data.frames, base)
    assert size_hint(data.frames, resized(base, 2 * SIDE)) == ""
    assert size_hint([], base) == ""


def test_it_stops_when_nothing_better_comes(data: LabelledFrames, tmp_path: Path) -> None:
    lines: list[str] = []
    trained = train(data, tmp_path, Plan(50, batch=1, rate=1e-9, every=1, patience=2), lines)
    assert (trained.step, trained.steps) == (1, 3)
    assert "stopped at step 3: no better result since step 1" in lines


def test_a_class_that_cannot_be_learnt_is_named_before_the_work(data: LabelledFrames, tmp_path: Path) -> None:
    more = LabelledFrames((*data.labels, "green"), data.frames)
    with pytest.raises(TrainingError, match="no object of green in the 14 frames to train on"):
        job(more, tmp_path, QUICK)


def test_held_out_frames_without_any_object_are_refused(data: LabelledFrames, tmp_path: Path) -> None:
    bare = [replace(frame, boxes=()) for frame in data.frames[-3:]]
    with pytest.raises(TrainingError, match="no object on the 3 frames held out for the test"):
        job(LabelledFrames(data.labels, (*data.frames[:-3], *bare)), tmp_path, QUICK)


def test_a_model_that_differs_from_the_trained_one_is_not_stored(
    data: LabelledFrames, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = YoloxGraph.write

    def damaged(self: YoloxGraph, target: Path, weights: dict[str, np.ndarray], classes: int) -> None:
        write(self, target, {name: array * np.float32(1.05) for name, array in weights.items()}, classes)

    monkeypatch.setattr(YoloxGraph, "write", damaged)
    with pytest.raises(TrainingError, match="the exported model differs from the trained one"):
        train(data, tmp_path, QUICK)
    assert not list((tmp_path / "store").glob("own/mine*"))
