"""A user's own classifier: an ONNX file and its labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sightd.engines.custom_file import classifier_from_file
from sightd.engines.errors import ModelFileError
from sightd.engines.model import Model
from sightd.engines.onnx_trial import require_bounded
from sightd.engines.spec import ColourOrder
from sightd.plugins.api import Fault, PluginError
from sightd.plugins.labels_file import labels_in

Three = tuple[float, float, float]
Positive = Annotated[float, Field(gt=0)]


class OwnClassifier(BaseModel):
    """An ONNX file that takes one picture and gives one score for each class; fed as networks of ImageNet are, but for
    what is stated."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: Path = Field(description="The ONNX file.", examples=["/srv/models/birds.onnx"])
    labels: Path | Annotated[list[str], Field(min_length=1)] = Field(
        description="Class names in the order of the model output: a text file with one name per line, or a list.",
        examples=["/srv/models/birds.txt", ["robin", "wren"]],
    )
    width: int | None = Field(None, ge=1, description="Input width in pixels, for a file with a dynamic size.")
    height: int | None = Field(None, ge=1, description="Input height in pixels, for a file with a dynamic size.")
    colour: ColourOrder = Field(ColourOrder.RGB, description="Order of the colour channels of the input.")
    scale: float = Field(1 / 255, gt=0, description="Factor applied to each pixel value (0-255), before mean and std.")
    mean: Three = Field(
        (0.485, 0.456, 0.406), description="Mean to subtract from each channel, in the order of `colour`."
    )
    std: tuple[Positive, Positive, Positive] = Field(
        (0.229, 0.224, 0.225), description="Standard deviation to divide each channel by, in the order of `colour`."
    )

    @model_validator(mode="after")
    def _whole_size(self) -> Self:
        if (self.width is None) != (self.height is None):
            raise ValueError("set both width and height, or neither")
        return self

    def model(self) -> Model:
        """Returns the model. Raises PluginError or ModelFileError for unreadable or unsuitable files."""
        names = labels_in(self.labels) if isinstance(self.labels, Path) else self.labels
        return classifier_from_file(
            self.file,
            names,
            size=(self.width, self.height) if self.width and self.height else None,
            colour=self.colour,
            scale=self.scale,
            mean=self.mean,
            std=self.std,
        )

    def faults(self) -> Iterator[Fault]:
        """Yields a fault if a file is unusable or the model exceeds the memory or time limit."""
        try:
            require_bounded(self.model())
        except PluginError as error:
            yield Fault(("labels",), str(error))
        except ModelFileError as error:
            yield Fault(("file",), str(error), "the model must have one image input and one output of scores")
