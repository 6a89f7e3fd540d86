"""The `gate:` option of plug-ins: whether a model looks only where something happens."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from sightd.plugins.api import Span
from sightd.plugins.geometry.regions import Polygon

GateMode = Literal["off", "activity"]


class GateOptions(BaseModel):
    """The activity gate, with options."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: GateMode = Field("activity", description="off: look on every analysed frame. activity: look at changes.")
    confirm_every: Span = Field(
        5.0,
        description="Look this often although nothing has changed: at known objects that rest, and at the picture.",
        examples=["5s"],
    )
    ignore: list[Polygon] = Field(
        default_factory=list,
        description="Changes inside these polygons are no reason to look: trees, flags, a clock in the picture. "
        "Corners [x, y] as fractions of width and height from the top left. Places that change all the time without "
        "anything being found there are also learned by themselves.",
        examples=[[[[0, 0], [0.3, 0], [0.3, 0.4]]]],
    )
    draw: bool = Field(False, description="Draw the active cells into the video.")


def _form(value: object) -> str:
    return "options" if isinstance(value, (dict, BaseModel)) else "mode"


GateChoice = Annotated[Annotated[GateMode, Tag("mode")] | Annotated[GateOptions, Tag("options")], Discriminator(_form)]


def gate_options(choice: GateMode | GateOptions) -> GateOptions:
    """Returns the options that a choice stands for."""
    return choice if isinstance(choice, GateOptions) else GateOptions(mode=choice)
