"""The detector's options, and the ids of the class names in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
from pydantic import Field

from sightd.engines.labels import is_unnamed
from sightd.engines.models.catalog import AUTO, CPU_DETECTORS, GPU_DETECTORS, Catalog
from sightd.engines.text import did_you_mean
from sightd.plugins.activity.config import GateChoice, gate_options
from sightd.plugins.api import ConfigProblem, FloatArray, PluginConfig, PluginError
from sightd.plugins.configuration.model_choice import ModelChoice
from sightd.plugins.detector.heads.registry import wrong_head
from sightd.plugins.geometry.regions import Polygon
from sightd.plugins.look.config import LookChoice, look_options


def least_scores(labels: Sequence[str], min_score: float, of_classes: dict[str, float]) -> FloatArray:
    """Returns the least score of each class, float32 [c]; infinite for classes that are no objects."""
    scores = np.full(len(labels), min_score, np.float32)
    for name, score in of_classes.items():
        scores[ids_of([name], labels, "class_min_score")] = score
    scores[[is_unnamed(label) for label in labels]] = np.inf
    return scores


def ids_of(names: Iterable[str], labels: Sequence[str], option: str) -> list[int]:
    """Returns the ids of all classes with one of the names, ignoring case. Raises PluginError for unknown names."""
    folded = [label.casefold() for label in labels]
    ids = []
    for name in names:
        found = [i for i, label in enumerate(folded) if label == name.casefold()]
        if not found:
            raise PluginError(f"{option}: {'; '.join(unknown_class(name, labels))}")
        ids += found
    return ids


def unknown_class(name: str, labels: Sequence[str]) -> tuple[str, str]:
    """Returns message and hint for a class that is not among a model's labels."""
    named = [label for label in labels if label]
    some = ", ".join(named[:12]) + (", …" if len(named) > 12 else "")
    return f"the model has no class {name!r}{did_you_mean(name, named, 3)}", f"its classes are {some}"


Score = Annotated[float, Field(ge=0, le=1)]


class _Named(NamedTuple):
    path: tuple[str | int, ...]
    name: str


class DetectorConfig(PluginConfig):
    """Detects objects. Every option has a default: `detector: {}` works."""

    live_options: ClassVar[frozenset[str]] = frozenset(
        {"min_score", "class_min_score", "classes", "nms_iou", "agnostic", "min_size", "max_detections"}
        | {"only_inside", "ignore"}
    )

    model: ModelChoice = Field(
        ModelChoice(AUTO),
        description="Model: a name, a list in order of preference (the first available one is used and logged), "
        "or your own ONNX file: its path, or {file, head, labels} if the file does not show them. `auto` is "
        f"[{', '.join(CPU_DETECTORS)}], and on a GPU [{', '.join(GPU_DETECTORS)}].",
        examples=[
            "deimv2-femto",
            "/srv/models/best.onnx",
            {"file": "/srv/models/parts.onnx", "head": "yolox", "labels": ["bolt", "nut"]},
        ],
    )
    min_score: Score = Field(
        0.25,
        description="Minimum score of a detection. Keep it below the score at which objects are drawn, because a "
        "tracker uses weak detections to follow known objects; below about 0.2 most detections are "
        "false.",
    )
    class_min_score: dict[str, Score] = Field(
        default_factory=dict,
        description="Minimum score by class, overriding `min_score`.",
        examples=[{"person": 0.5}],
    )
    classes: list[str] | None = Field(
        None, min_length=1, description="Report only these classes, by label; by default all.", examples=[["person"]]
    )
    nms_iou: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Boxes of one class that overlap more than this (intersection over union) count as one "
        "object. Lower values remove more duplicates (SSD has many above 0.5), higher values "
        "separate objects that are close together; COCO accuracy is usually stated at 0.6. Has no effect on "
        "models that return each object only once, such as DEIM, D-FINE, RF-DETR and YOLO end to end.",
    )
    agnostic: bool = Field(
        False,
        description="Also suppress overlapping boxes of different classes, so that one object never has two classes.",
    )
    min_size: float = Field(
        1.0,
        ge=0,
        description="Minimum length of the shorter side of a box, in pixels of the camera frame.",
        examples=[8],
    )
    max_detections: int = Field(
        100,
        ge=1,
        le=10_000,
        description="Maximum number of detections per frame; those with the highest scores are kept.",
    )
    only_inside: list[Polygon] = Field(
        default_factory=list,
        description="Report only objects that stand inside one of these polygons, judged by the middle of the "
        "bottom edge of the box. Corners [x, y] as fractions of width and height from the top left.",
        examples=[[[[0, 0.5], [1, 0.5], [1, 1], [0, 1]]]],
    )
    ignore: list[Polygon] = Field(
        default_factory=list,
        description=(
            "Do not report objects that stand inside one of these polygons, judged by the middle of the "
            "bottom edge of the box."
        ),
        examples=[[[[0, 0], [0.2, 0], [0, 0.2]]]],
    )

    masks: bool = Field(True, description="Report the masks of models that find some, such as YOLO-seg or RF-DETR-seg.")
    keypoints: bool = Field(True, description="Report the keypoints of models that find some, such as YOLO-pose.")
    redact: list[str] = Field(
        default_factory=list,
        description="Redact objects of these classes in the output, by their mask if the model finds masks, otherwise "
        "by their box. If set, no frame is shown before it was analysed, and if the plug-in fails, the whole frame is "
        "redacted. What is not detected is not redacted: lower the score of the class, and expect misses.",
        examples=[["person"]],
    )

    look: LookChoice = Field(
        "frame",
        description="Where the model looks: frame, tiles or regions, or `mode` with options. Small and far objects are "
        "found at the camera's own resolution only.",
        examples=["regions", {"mode": "regions", "runs_per_second": 6}],
    )
    gate: GateChoice = Field(
        "off",
        description="activity: the model looks only where something has changed; known objects that rest are kept, and "
        "confirmed now and then. A still picture costs next to nothing.",
        examples=["activity", {"confirm_every": "5s", "ignore": [[[0, 0], [0.3, 0], [0.3, 0.4]]]}],
    )

    def problems(self, networks: Catalog) -> list[ConfigProblem]:
        """Returns unavailable models, files whose output is not that of their head, and classes that none of the models
        knows."""
        of_model = list(self.model.problems(networks)) or list(self._wrong_heads())
        if of_model:
            return [problem.within("model") for problem in of_model]
        return [*self._shown_before_redaction(), *self._unknown_classes(self.model.labels(networks))]

    def files(self, networks: Catalog) -> Iterator[Path]:
        """Yields the files of the user's own models and their labels."""
        return self.model.files(networks)

    def overlooks(self) -> list[str]:
        """Returns the options that choose where to look: `look` if it is regions, `gate`, and polygons."""
        chosen = {
            "look": look_options(self.look).mode == "regions",
            "gate": gate_options(self.gate).mode != "off",
            "only_inside": bool(self.only_inside),
            "ignore": bool(self.ignore),
        }
        return [option for option, is_set in chosen.items() if is_set]

    def _shown_before_redaction(self) -> Iterator[ConfigProblem]:
        """Yields options with which an object would be shown that `redact` names."""
        excluded = {
            "every": self.every > 1,
            "max_fps": self.max_fps is not None,
            "look": look_options(self.look).mode != "frame",
            "gate": gate_options(self.gate).mode != "off",
            "only_inside": bool(self.only_inside),
            "ignore": bool(self.ignore),
        }
        for option in (name for name, is_set in excluded.items() if is_set and self.redact):
            message = "cannot be combined with redact, which needs all of every frame"
            yield ConfigProblem((option,), message, f"remove {option} or redact")
        reported = None if self.classes is None else {name.casefold() for name in self.classes}
        for index, name in enumerate(self.redact):
            if reported is not None and name.casefold() not in reported:
                yield ConfigProblem(("redact", index), f"{name!r} is not among classes", "add it to classes")

    def _wrong_heads(self) -> Iterator[ConfigProblem]:
        """Runs each of the user's own files once."""
        for path, model in self.model.own_models():
            if fault := wrong_head(model):
                yield ConfigProblem((*path, "file"), fault)

    def _unknown_classes(self, networks: Sequence[Sequence[str]]) -> Iterator[ConfigProblem]:
        labels = list(dict.fromkeys(label for network in networks for label in network))
        known = {label.casefold() for label in labels}
        named = [_Named(("classes", index), name) for index, name in enumerate(self.classes or ())]
        named += [_Named(("redact", index), name) for index, name in enumerate(self.redact)]
        named += [_Named(("class_min_score", name), name) for name in self.class_min_score]
        for one in named:
            if one.name.casefold() not in known:
                yield ConfigProblem(one.path, *unknown_class(one.name, labels))
