"""Turns labelled frames into a detector that a configuration can name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from sightd.daemon.tools.label.finder import Finder, Found, reader_of
from sightd.daemon.tools.label.labelled import LabelledFrame, LabelledFrames
from sightd.daemon.tools.training.checkpoint import Checkpoint
from sightd.daemon.tools.training.detector.evaluation import Evaluation, evaluate
from sightd.daemon.tools.training.detector.graph import OUTPUT, Part, YoloxGraph
from sightd.daemon.tools.training.detector.inputs import Examples, Inputs
from sightd.daemon.tools.training.detector.loss import Cells
from sightd.daemon.tools.training.detector.network import TrainableYolox
from sightd.daemon.tools.training.detector.shares import Shares
from sightd.daemon.tools.training.detector.trainer import Arrays, Plan, Trainer
from sightd.daemon.tools.training.preflight import TrainingError
from sightd.engines.files import digest_of, locked, scratch_folder
from sightd.engines.model import Model
from sightd.engines.models.custom_models import CustomModelMetadata, file_of, put, resized
from sightd.engines.models.store import ModelStore
from sightd.engines.preprocess import prepare
from sightd.engines.progress import Progress
from sightd.engines.sessions.onnxruntime.cpu import OnnxRuntimeSession
from sightd.plugins.api import Image

_STRIDES = (8, 16, 32)
_SMALL = 24.0
"""Side of objects, in pixels of the model's input, below which a larger input finds more."""
_CLEAR = 0.05
"""Least score of a box that is compared between PyTorch and the written file."""
_MOST_PIXELS, _MOST_SCORE = 0.5, 1e-3
"""Largest differences allowed between them, in pixels of the model's input."""


@dataclass(frozen=True, slots=True)
class Trained:
    """The model; how good it is on the test's frames, and how good the base model was, by classes of the same names;
    the step that was kept, of those done."""

    model: Model
    before: Evaluation
    after: Evaluation
    step: int
    steps: int


class DetectorJob:
    """Trains one detector. `run` may be interrupted at any time; called again with the same frames and plan, it resumes
    from its last checkpoint."""

    def __init__(
        self, data: LabelledFrames, shares: Shares, base: Model, plan: Plan, store: ModelStore, work: Path, threads: int
    ) -> None:
        """`data.labels` are the classes, `shares` its frames; `work` is an existing folder for the checkpoint.
        Raises TrainingError if a class has no object to learn from, or nothing can be measured; EngineError if the base
        model is not stored, or is not of the YOLOX family."""
        self._labels, self._shares, self._base, self._plan = data.labels, shares, base, plan
        self._store, self._work, self._threads = store, work, threads
        _require_examples(data.labels, shares)
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._base_file = store.verify(base)
        self._graph = YoloxGraph(self._base_file, plan.side)
        self._made = replace(resized(base, plan.side) if plan.side else base, labels=data.labels, head="yolox")
        self._settings = {
            **asdict(plan),
            "labels": data.labels,
            "frames": {part: _digest(getattr(shares, part)) for part in ("train", "choice")},
            "base": digest_of(self._base_file).sha256,
        }
        self._checkpoint = Checkpoint(work, self._settings)

    def run(self, name: str, progress: Progress, report: Callable[[str], None]) -> Trained:
        """Trains it, stores it as the model `name`, and measures it. Raises TrainingError if a checkpoint belongs to
        another training, or the written model's output differs from what was trained; LabelError if a frame cannot be
        read; OSError if the folder cannot be written; EngineError if the model cannot be stored."""
        if hint := size_hint(self._shares.train, self._made):
            report(hint)
        plan, shares = self._plan, self._shares
        examples = Examples(shares.train, self._made.input, mirror=plan.mirror)
        network = self._network(self._device, plan.part)
        with Inputs(self._graph, plan.part, self._work, self._threads, self._device) as inputs:
            trainer = Trainer(network, examples, inputs, cells_of(self._made, self._device), plan, self._device)
            search = _Search(trainer, inputs, shares.choice, self._made, plan)
            search.run(self._checkpoint, progress, report)
        before = measured(self._base, self._base_file, self._labels, self._shares.test, self._threads)
        model, after = self._stored(name, search, progress)
        self._checkpoint.remove()
        return Trained(model, before, after, search.best_step, search.step)

    def _network(self, device: str, part: Part) -> TrainableYolox:
        return TrainableYolox(self._graph, len(self._labels), device, self._plan.seed, part)

    def _stored(self, name: str, search: _Search, progress: Progress) -> tuple[Model, Evaluation]:
        folder, test = file_of(name, self._store.directory).parent, self._shares.test
        with locked(folder / ".lock", name), scratch_folder(folder, f".{name}.train-") as scratch:
            made = scratch / "made.onnx"
            self._graph.write(made, search.best, len(self._labels))
            progress("verifying the exported model", 0, None)
            self._require_faithful(made, search.best, test[0].image())
            after = measured(self._made, made, self._labels, test, self._threads)
            origin = CustomModelMetadata(
                base=self._base.name,
                base_sha256=digest_of(self._base_file).sha256,
                made=f"{len(self._labels)} classes, trained on {len(self._shares.train)} frames",
                accuracy=f"{after.map50:.2f} mAP50 on {len(test)} held-out frames",
                made_at=datetime.now(UTC).isoformat(timespec="seconds"),
                labels=self._labels,
                side=self._plan.side,
            )
            return put(self._made, name, made, origin, self._store.directory), after

    def _require_faithful(self, made: Path, weights: Arrays, image: Image) -> None:
        """Raises TrainingError unless the file finds, on an image, what PyTorch finds with the same weights."""
        tensor, session = prepare([image], self._made.input)[0], OnnxRuntimeSession(made, 1)
        try:
            (found,) = session.run({self._graph.input: tensor}).values()
        finally:
            session.close()
        network = self._network("cpu", Part.ALL)
        network.weights.update({name: torch.tensor(array) for name, array in weights.items()})
        with torch.no_grad():
            rows = network.rows([torch.tensor(tensor)])
            rows[..., 4:] = rows[..., 4:].sigmoid()
        cells = cells_of(self._made, "cpu")
        boxes = [cells.boxes(torch.tensor(one)).numpy() for one in (rows.numpy()[0], found[0])]
        scores = [one[:, 4:5] * one[:, 5:] for one in (rows.numpy()[0], found[0])]
        clear = scores[0].max(1) >= _CLEAR
        off_box = float(np.abs(boxes[0] - boxes[1])[clear].max(initial=0))
        off_score = float(np.abs(scores[0] - scores[1]).max())
        if not (off_box <= _MOST_PIXELS and off_score <= _MOST_SCORE):
            raise TrainingError(
                f"the exported model differs from the trained one (boxes by {off_box:.2g} pixels, scores by "
                f"{off_score:.2g}): not stored. This is a bug in sightd; please report it"
            )


class _Search:
    """Trains until nothing better is found, and keeps the best weights: those with the highest mAP50-95 on the frames
    of the choice."""

    def __init__(
        self, trainer: Trainer, inputs: Inputs, choice: Sequence[LabelledFrame], model: Model, plan: Plan
    ) -> None:
        self._trainer, self._inputs, self._choice, self._model, self._plan = trainer, inputs, choice, model, plan
        self._reader = reader_of(model)
        self._numbers = np.arange(len(model.labels))
        self.best: Arrays = {}
        self.best_step = 0
        self._best_score = -1.0
        self._worse = 0

    @property
    def step(self) -> int:
        return self._trainer.step

    def run(self, checkpoint: Checkpoint, progress: Progress, report: Callable[[str], None]) -> None:
        """Resumes from the checkpoint if there is one. Raises TrainingError and OSError."""
        plan, trainer = self._plan, self._trainer
        self._restore(checkpoint, report)
        recent: list[float] = []
        while trainer.step < plan.steps and self._worse < plan.patience:
            recent.append(trainer.advance())
            progress("training, steps", trainer.step, plan.steps)
            if trainer.step % plan.every == 0 or trainer.step == plan.steps:
                found = self._measured()
                report(f"step {trainer.step}: loss {np.mean(recent):.3f}; {found} on the frames of the choice")
                self._judge(found)
                checkpoint.save(self._state())
                recent = []
        if trainer.step < plan.steps:
            report(f"stopped at step {trainer.step}: no better result since step {self.best_step}")

    def _measured(self) -> Evaluation:
        pairs = []
        for frame in self._choice:
            tensor, (geometry,) = prepare([frame.image()], self._model.input)
            rows = self._trainer.rows(self._inputs.of([tensor]))
            pairs.append((frame.arrays(), Found.read(self._reader, {OUTPUT: rows}, geometry, self._numbers)))
        return evaluate(self._model.labels, pairs)

    def _judge(self, found: Evaluation) -> None:
        score = np.nan_to_num(found.map50_95)
        if score > self._best_score:
            self._best_score, self.best_step, self._worse = float(score), self._trainer.step, 0
            self.best = dict(self._trainer.averaged())
        else:
            self._worse += 1

    def _state(self) -> Arrays:
        search = np.array([self._best_score, self.best_step, self._worse])
        return {**self._trainer.state(), "search": search, **{f"best-{name}": one for name, one in self.best.items()}}

    def _restore(self, checkpoint: Checkpoint, report: Callable[[str], None]) -> None:
        state = checkpoint.load()
        if state is None:
            return
        try:
            self._trainer.restore(state)
            score, step, worse = state["search"]
        except (KeyError, ValueError) as error:
            raise TrainingError(f"{checkpoint.path} does not match: remove it to start over") from error
        self._best_score, self.best_step, self._worse = float(score), int(step), int(worse)
        self.best = {name.removeprefix("best-"): one for name, one in state.items() if name.startswith("best-")}
        report(f"resuming from step {self.step}")


def size_hint(frames: Sequence[LabelledFrame], model: Model) -> str:
    """Returns what to do if half of the objects are small at the model's input, otherwise nothing."""
    spec = model.input
    sides = [
        min(spec.width / frame.width, spec.height / frame.height) * min(x2 - x1, y2 - y1)
        for frame in frames
        for x1, y1, x2, y2 in (box.xyxy for box in frame.boxes)
    ]
    middle = float(np.median(sides)) if sides else _SMALL
    if middle >= _SMALL:
        return ""
    return (
        f"half of the objects are at most {middle:.0f} pixels wide or high at the model's input of {spec.width}: a "
        "larger one (--size) finds more of them, and takes longer"
    )


def measured(
    model: Model, file: Path, labels: Sequence[str], frames: Sequence[LabelledFrame], threads: int
) -> Evaluation:
    """Measures a detector's file on frames with boxes of the classes `labels`; the model's classes are matched by
    name."""
    finder = Finder(model, file, labels, threads)
    try:
        return evaluate(labels, ((frame.arrays(), finder.find(frame.image())) for frame in frames))
    finally:
        finder.close()


def cells_of(model: Model, device: str) -> Cells:
    """Returns the cells of a YOLOX model's grids."""
    spec = model.input
    return Cells.of([(spec.height // one, spec.width // one) for one in _STRIDES], _STRIDES, device)


def _require_examples(labels: Sequence[str], shares: Shares) -> None:
    counts = LabelledFrames(tuple(labels), shares.train).counts()
    if missing := [label for label, count in zip(labels, counts, strict=True) if not count]:
        raise TrainingError(
            f"no object of {', '.join(missing)} in the {len(shares.train)} frames to train on: label some at the "
            "beginning of the film too, or remove the class"
        )
    for part, frames in (("choice", shares.choice), ("test", shares.test)):
        if not any(frame.boxes for frame in frames):
            raise TrainingError(
                f"no object on the {len(frames)} frames held out for the {part}: label more frames at the end of the "
                "film, or hold out more (--hold-out)"
            )


def _digest(frames: Sequence[LabelledFrame]) -> str:
    """Returns a digest of the frames' content and boxes."""
    parts = [(digest_of(frame.path).sha256, [(box.label, box.xyxy) for box in frame.boxes]) for frame in frames]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
