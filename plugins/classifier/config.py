"""The classifier plug-in's options."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sightd.engines.catalog import Catalog
from sightd.engines.suggest import did_you_mean
from sightd.plugins.api import Fault, PluginConfig
from sightd.plugins.classifier.own import OwnClassifier
from sightd.plugins.units import Duration

Share = Annotated[float, Field(ge=0, le=1)]


class ClassifierConfig(PluginConfig):
    """Says what a picture shows. Every option has a default: `classifier: {}` works."""

    model: str | OwnClassifier = Field(
        "mobilenet-v2",
        description="Model name (see `sightd models list`), or your own file: {file, labels}. `sightd classifier "
        "train` trains a model on your own images.",
        examples=["resnet50", {"file": "/srv/models/birds.onnx", "labels": "/srv/models/birds.txt"}],
    )
    of: Literal["picture", "objects"] = Field(
        "picture",
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
    most: int = Field(
        4,
        ge=1,
        le=64,
        description=(
            "Maximum number of objects to classify per frame (no limit for still images); the others take turns."
        ),
    )
    top: int = Field(3, ge=1, le=20, description="Number of classes to report, most likely first.")
    min_score: Share = Field(0.2, description="Classes with a lower probability are not drawn or counted.")
    smooth: Duration = Field(
        0.5, description="Time over which results are averaged; 0s shows each result unchanged.", examples=["1s"]
    )

    @model_validator(mode="after")
    def _of_objects(self) -> Self:
        if self.classes is not None and self.of == "picture":
            raise ValueError("classes applies only to objects: add `of: objects`, or remove classes")
        return self

    def faults(self, networks: Catalog) -> list[Fault]:
        """Returns models that do not exist or are not classifiers."""
        if isinstance(self.model, OwnClassifier):
            return [Fault(("model", *fault.path), fault.message, fault.hint) for fault in self.model.faults()]
        return list(_misnamed(self.model, networks))


def _misnamed(name: str, networks: Catalog) -> Iterator[Fault]:
    names = [model.name for model in networks if model.role == "classifier"]
    if name not in names:
        hint = f"known classifiers: {', '.join(names)}; your own file: {{file, labels}}"
        yield Fault(("model",), f'unknown classifier "{name}"{did_you_mean(name, names)}', hint)
