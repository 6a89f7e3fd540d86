"""The style plug-in's options, including a user's own model file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sightd.engines.errors import ModelFileError
from sightd.engines.labels import STYLES, WITH_OWN
from sightd.engines.model import ColourOrder, Model
from sightd.engines.models.catalog import Catalog
from sightd.engines.models.custom_file import style_from_file
from sightd.engines.models.onnx_file import files_of
from sightd.engines.sessions.onnxruntime.trial import require_bounded
from sightd.plugins.api import ConfigProblem, Duration, PluginConfig
from sightd.plugins.configuration.model_choice import files_of_named
from sightd.plugins.geometry.regions import Polygon
from sightd.plugins.style.mixture import index_of


class OwnStyle(BaseModel):
    """An ONNX file that turns an image [batch, 3, height, width] into another, as those of Johnson et al. 2016 do."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: Path = Field(description="The ONNX file.", examples=["/srv/models/candy.onnx"])
    colour: ColourOrder = Field(ColourOrder.RGB, description="Colour order of input and output.")
    white: Literal[255, 1] = Field(255, description="Value of the brightest pixel in input and output.")

    def model(self) -> Model:
        """Returns the model. Raises ModelFileError for a file that is unreadable or of the wrong form."""
        return style_from_file(self.file, colour=self.colour, scale=self.white / 255)

    def problems(self) -> list[ConfigProblem]:
        """Returns a problem if the file is unusable or the model exceeds the memory or time limit."""
        try:
            require_bounded(self.model())
        except ModelFileError as error:
            return [ConfigProblem(("file",), str(error), "the model must have one image input and one image output")]
        return []


Share = Annotated[float, Field(ge=0, le=1)]
Mixture = Annotated[dict[str, Annotated[float, Field(gt=0)]], Field(min_length=1)]
Look = str | Mixture
"""A style by name, or a mixture of several with their shares."""


class Where(BaseModel):
    """Paint only a part of the frame."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    inside: bool = Field(True, description="Paint the inside of the selection; false paints everything else.")
    classes: list[str] = Field(
        default_factory=list,
        description="Classes of objects found by a detector or tracker earlier in the chain.",
        examples=[["person"]],
    )
    masks: bool = Field(
        True, description="Follow the outline of objects whose mask the detector finds, instead of an ellipse."
    )
    faces: bool = Field(False, description="Faces found by a face plug-in earlier in the chain.")
    polygons: list[Polygon] = Field(
        default_factory=list, description="Polygons, corners [x, y] as fractions of width and height from the top left."
    )
    soft: Share = Field(0.02, description="Width of the soft edge, as a fraction of the shorter side of the frame.")

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not (self.classes or self.faces or self.polygons):
            raise ValueError("is empty: set classes, faces or polygons")
        return self


class StyleConfig(PluginConfig):
    """Repaints frames in a style. Every option has a default: `style: {}` works."""

    live_options: ClassVar[frozenset[str]] = frozenset(
        {"style", "interval", "fade", "strength", "keep_colours", "smoothing", "where"}
    )

    model: str | OwnStyle = Field(
        "style26",
        description="Model name (see `sightd models list`), or your own file with one style: {file}, with colour "
        "and white if it was not trained with RGB and 0-255. Not needed for styles trained with "
        "`sightd style train`.",
        examples=["style26", {"file": "/srv/models/candy.onnx"}],
    )
    style: Look | list[Look] = Field(
        "starry",
        description=f"A style name, a mixture such as {{starry: 2, delft: 1}}, or a list to cycle through. "
        f"Built-in styles:  {', '.join(STYLES)}; styles that you trained can also be used.",
        examples=["delft", {"starry": 2, "delft": 1}, ["starry", "delft"]],
    )
    renamed_options: ClassVar[Mapping[str, str]] = {"change": "interval", "steady": "smoothing"}

    every: int = Field(1, ge=1, le=1, description="Every frame is painted, because frames between cannot be predicted.")
    interval: Duration = Field(30.0, description="How long each style of a list is shown.", examples=["30s"])
    fade: Duration = Field(2.0, description="Duration of the transition to the next style.", examples=["2s"])
    strength: Share = Field(1.0, description="Blend factor between the original frame (0) and the painting (1).")
    keep_colours: bool = Field(False, description="Apply the brush strokes but keep the colours of the frame.")
    smoothing: Share = Field(1.0, description="Share of the previous painting to keep in unchanged areas; 0 flickers.")
    min_lines: int = Field(
        128,
        ge=32,
        le=2160,
        description="Minimum height of the painted image, in lines, even if it cannot be painted in time.",
    )
    max_lines: int = Field(
        360,
        ge=32,
        le=2160,
        description="Maximum height of the painted image; the actual height adapts to the available time.",
    )
    where: Where | None = Field(None, description=Where.__doc__)

    @property
    def looks(self) -> list[Mixture]:
        """All configured styles as mixtures, in order."""
        listed: Sequence[Look] = self.style if isinstance(self.style, list) else [self.style]
        return [{look: 1.0} if isinstance(look, str) else dict(look) for look in listed]

    @property
    def network(self) -> str | OwnStyle:
        """What paints: the model. If none is named and a style is not one of the published model's, the model extended
        by the styles trained on this machine."""
        if "model" not in self.model_fields_set and not {name for look in self.looks for name in look} <= set(STYLES):
            return WITH_OWN
        return self.model

    def files(self, networks: Catalog) -> Iterator[Path]:
        """Yields the files of the user's own model, or of that with the styles trained on this machine."""
        network = self.network
        if isinstance(network, str):
            return files_of_named(network, networks)
        return iter(sorted(files_of(network.file)))

    def problems(self, networks: Catalog) -> list[ConfigProblem]:
        """Returns pairs of options in the wrong order, and unknown models and styles."""
        return [*self._disorder(), *self._misnamed(networks)]

    def _disorder(self) -> Iterator[ConfigProblem]:
        if self.min_lines > self.max_lines:
            option = "min_lines" if "min_lines" in self.model_fields_set else "max_lines"
            message = f"min_lines ({self.min_lines}) is greater than max_lines ({self.max_lines})"
            yield ConfigProblem((option,), message, "lower min_lines or raise max_lines")
        if isinstance(self.style, list) and len(self.style) > 1:
            if self.interval == 0:
                yield ConfigProblem(
                    ("interval",), "is zero, so no style of the list would be shown", "write interval: 30s"
                )
            elif self.fade > self.interval and "fade" in self.model_fields_set:
                message = f"fade ({self.fade:g} s) is greater than interval ({self.interval:g} s)"
                yield ConfigProblem(("fade",), message, "lower fade or raise interval")

    def _misnamed(self, networks: Catalog) -> list[ConfigProblem]:
        if isinstance(self.model, OwnStyle):
            found = [problem.within("model") for problem in self.model.problems()]
            if "style" in self.model_fields_set:
                found.append(ConfigProblem(("style",), "a model of your own has only one style", "remove style"))
            return found
        if self.model not in networks.models:
            return [ConfigProblem(("model",), f'unknown model "{self.model}"', _known(networks))]
        model = networks.models[self.model]
        if model.role != "style":
            return [
                ConfigProblem(
                    ("model",), f'"{self.model}" is a {model.role} model, not a style model', _known(networks)
                )
            ]
        if model.head != "styles" and "style" in self.model_fields_set:
            return [ConfigProblem(("style",), f'"{self.model}" has only one style', "remove style")]
        if model.head != "styles":
            return []
        if self.style == []:
            return [ConfigProblem(("style",), "the list is empty", f"known styles: {', '.join(STYLES)}")]
        return list(self._unknown(networks))

    def _unknown(self, networks: Catalog) -> Iterator[ConfigProblem]:
        """Yields styles that the model does not have."""
        model = networks.models.get(str(self.network))
        styles = STYLES if model is None else model.labels
        if len(styles) == 1 and "style" not in self.model_fields_set:
            return
        for position, mixture in enumerate(self.looks):
            for name in mixture:
                try:
                    index_of(name, styles)
                except ValueError as error:
                    message, _, known = str(error).partition(" Known styles: ")
                    path = ("style", position) if isinstance(self.style, list) else ("style",)
                    yield ConfigProblem(path, message.rstrip("."), f"known styles: {known}")


def _known(networks: Catalog) -> str:
    return f"known style models: {', '.join(model.name for model in networks if model.role == 'style')}"
