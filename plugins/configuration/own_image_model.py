"""Options of a user's own model that takes one image of a fixed size: how the image is resized and normalised."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self, TypedDict

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sightd.engines.model import ColourOrder

Three = tuple[float, float, float]
Positive = Annotated[float, Field(gt=0)]


class Preprocessing(TypedDict):
    """Arguments of `classifier_from_file` and `embedder_from_file`."""

    size: tuple[int, int] | None
    colour: ColourOrder
    scale: float
    mean: Three
    std: Three


class OwnImageModel(BaseModel):
    """An ONNX file with one image input. Options that are not set have the values usual for ImageNet models."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: Path = Field(description="The ONNX file.", examples=["/srv/models/own.onnx"])
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

    def preprocessing(self) -> Preprocessing:
        """Returns what these options state about the input."""
        size = (self.width, self.height) if self.width and self.height else None
        return {"size": size, "colour": self.colour, "scale": self.scale, "mean": self.mean, "std": self.std}
