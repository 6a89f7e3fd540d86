"""The classifier plug-in's options, including a user's own model file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from sightd.engines.errors import ModelFileError
from sightd.engines.model import Model
from sightd.engines.models.catalog import Catalog
from sightd.engines.models.custom_file import classifier_from_file
from sightd.engines.models.onnx_file import files_of
from sightd.engines.sessions.onnxruntime.trial import require_bounded
from sightd.engines.text import did_you_mean
from sightd.plugins.api import ConfigProblem, Duration, PluginConfig, PluginError
from sightd.plugins.configuration.model_choice import files_of_named, labels_in
from sightd.plugins.configuration.own_image_model import OwnImageModel


class OwnClassifier(OwnImageModel):
    """An ONNX file with one image input and one score per class as output. Options that are not set have the values
    usual for ImageNet models."""

    labels: Path | Annotated[list[str], Field(min_length=1)] = Field(
        description="Class names in the order of the model output: a text file with one name per line, or a list.",
        examples=["/srv/models/birds.txt", ["robin", "wren"]],
    )

    def model(self) -> Model:
        """Returns the model. Raises PluginError or ModelFileError for unreadable or unsuitable files."""
        names = labels_in(self.labels) if isinstance(self.labels, Path) else self.labels
        return classifier_from_file(self.file, names, **self.preprocessing())

    def files(self) -> Iterator[Path]:
        """Yields the file, those that hold its weights, and that of the labels. Raises ModelFileError."""
        yield from sorted(files_of(self.file))
        if isinstance(self.labels, Path):
            yield self.labels

    def problems(self) -> Iterator[ConfigProblem]:
        """Yields a problem if a file is unusable or the model exceeds the memory or time limit."""
        try:
            require_bounded(self.model())
        except PluginError as error:
            yield ConfigProblem(("labels",), str(error))
        except ModelFileError as error:
            yield ConfigProblem(("file",), str(error), "the model must have one image input and one output of scores")


Share = Annotated[float, Field(ge=0, le=1)]


class ClassifierConfig(PluginConfig):
    """Classifies frames or objects. Every option has a default: `classifier: {}` works."""

    live_options: ClassVar[frozenset[str]] = frozenset(
        {"area", "classes", "margin", "max_objects", "top", "min_score", "smoothing_time", "change_after"}
    )

    model: str | OwnClassifier = Field(
        "mobilenet-v2",
        description="Model name (see `sightd models list`), or your own file: {file, labels}. `sightd classifier "
        "train` trains a model on your own images.",
        examples=["resnet50", {"file": "/srv/models/birds.onnx", "labels": "/srv/models/birds.txt"}],
    )
    renamed_options: ClassVar[Mapping[str, str]] = {"of": "target", "most": "max_objects", "smooth": "smoothing_time"}
    renamed_values: ClassVar[Mapping[str, Mapping[str, str]]] = {"target": {"picture": "frame"}}

    target: Literal["frame", "objects"] = Field(
        "frame",
        description="Classify the whole frame, or each object found by a detector or tracker earlier in the "
        "chain. With a tracker, the results for each object are averaged.",
    )
    area: Literal["centre", "whole"] = Field(
        "centre",
        description="Part of the frame to classify: the central square, as in the training of ImageNet models, "
        "or the whole frame, squeezed into a square.",
    )
    classes: list[str] | None = Field(
        None, min_length=1, description="Classify only objects of these detector classes.", examples=[["car"]]
    )
    margin: float = Field(
        0.1, ge=0, le=1, description="Margin around an object, on each side, as a fraction of its longer side."
    )
    max_objects: int = Field(
        4,
        ge=1,
        le=64,
        description=(
            "Maximum number of objects to classify per frame (no limit for still images); the others take turns."
        ),
    )
    top: int = Field(3, ge=1, le=20, description="Number of classes to report, most likely first.")
    min_score: Share = Field(0.2, description="Classes with a lower probability are not drawn or counted.")
    smoothing_time: Duration = Field(
        0.5, description="Time over which results are averaged; 0s shows each result unchanged.", examples=["1s"]
    )
    change_after: Duration = Field(
        2.0,
        description="Report classification.changed once another class has been the most likely one for this long.",
        examples=["2s"],
    )

    @model_validator(mode="after")
    def _of_objects(self) -> Self:
        if self.classes is not None and self.target == "frame":
            raise ValueError("classes applies only to objects: add `target: objects`, or remove classes")
        return self

    def files(self, networks: Catalog) -> Iterator[Path]:
        """Yields the files of the user's own model, or of one that was trained on this machine."""
        return self.model.files() if isinstance(self.model, OwnClassifier) else files_of_named(self.model, networks)

    def problems(self, networks: Catalog) -> list[ConfigProblem]:
        """Returns models that do not exist or are not classifiers."""
        if isinstance(self.model, OwnClassifier):
            return [problem.within("model") for problem in self.model.problems()]
        return list(_misnamed(self.model, networks))


def _misnamed(name: str, networks: Catalog) -> Iterator[ConfigProblem]:
    names = [model.name for model in networks if model.role == "classifier"]
    if name not in names:
        hint = f"known classifiers: {', '.join(names)}; your own file: {{file, labels}}"
        yield ConfigProblem(("model",), f'unknown classifier "{name}"{did_you_mean(name, names)}', hint)
