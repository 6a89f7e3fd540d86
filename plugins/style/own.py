"""A user's own model that paints a single style."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from sightd.engines.custom_file import style_from_file
from sightd.engines.errors import ModelFileError
from sightd.engines.model import Model
from sightd.engines.onnx_trial import require_bounded
from sightd.engines.spec import ColourOrder
from sightd.plugins.api import Fault


class OwnStyle(BaseModel):
    """An ONNX file that makes one picture [batch, 3, height, width] of another, as those of Johnson et al. 2016 do."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: Path = Field(description="The ONNX file.", examples=["/srv/models/candy.onnx"])
    colour: ColourOrder = Field(ColourOrder.RGB, description="Colour order of input and output.")
    white: Literal[255, 1] = Field(255, description="Value of the brightest pixel in input and output.")

    def model(self) -> Model:
        """Returns the model. Raises ModelFileError for a file that is unreadable or of the wrong form."""
        return style_from_file(self.file, colour=self.colour, scale=self.white / 255)

    def faults(self) -> list[Fault]:
        """Returns a fault if the file is unusable or the model exceeds the memory or time limit."""
        try:
            require_bounded(self.model())
        except ModelFileError as error:
            return [Fault(("file",), str(error), "the model must have one image input and one image output")]
        return []
