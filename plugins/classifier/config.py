"""The classifier plug-in's options."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sightd.engines.catalog import Catalog
from sightd.plugins.api import Fault, PluginConfig
from sightd.plugins.classifier.own import OwnClassifier
from sightd.plugins.units import Duration

Share = Annotated[float, Field(ge=0, le=1)]


class ClassifierConfig(PluginConfig):
    """Says what a picture shows. Every option has a default: `classifier: {}` works."""

    model: str | OwnClassifier = Field(
        "mobilenet-v2",
        description="The network, by its name in `sightd models list`; or a file of your own: {file, labels}. "
        "`sightd classifier train` makes one of your own pictures.",
        examples=["resnet50", {"file": "/srv/models/birds.onnx", "labels": "/srv/models/birds.txt"}],
    )
    of: Literal["picture", "objects"] = Field(
        "picture",
        description="Classify the whole picture; or each object that a detector or tracker earlier in the chain found. "
        "A tracker lets answers about one object be averaged.",
    )
    area: Literal["centre", "whole"] = Field(
        "centre",
        description="What of the picture is looked at: the square in its middle, as networks of ImageNet were trained "
        "and tested, or all of it, squeezed into a square.",
    )
    classes: list[str] | None = Field(
        None, min_length=1, description="Classify only objects of these classes of the detector's.", examples=[["car"]]
    )
    margin: float = Field(
        0.1, ge=0, le=1, description="How much is seen around an object, as a share of its longer side, on each side."
    )
    most: int = Field(
        4,
        ge=1,
        le=64,
        description="Most objects that are looked at on one frame, but of a photograph; the others take turns.",
    )
    top: int = Field(3, ge=1, le=20, description="How many classes are given, the likeliest first.")
    min_score: Share = Field(0.2, description="Classes less likely than this are not drawn or counted.")
    smooth: Duration = Field(
        0.5, description="Over about how long answers are averaged; 0s shows each as it comes.", examples=["1s"]
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
        near = get_close_matches(name, names, n=1)
        meant = f'; did you mean "{near[0]}"?' if near else ""
        hint = f"known classifiers: {', '.join(names)}; a file of your own is {{file, labels}}"
        yield Fault(("model",), f'unknown classifier "{name}"{meant}', hint)
