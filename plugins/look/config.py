"""The `look:` option of plug-ins: where a model looks in the frame."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

LookMode = Literal["frame", "tiles", "regions"]


class LookOptions(BaseModel):
    """Where the model looks, with options."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: LookMode = Field(
        "regions",
        description="frame: at the whole frame, reduced to the input size of the model. tiles: also at overlapping "
        "tiles at full resolution, on every analysed frame. regions: at full resolution where something moves, at "
        "known objects and, in turn, at the rest, with several places in one run of the model.",
    )
    runs_per_second: float = Field(
        10.0,
        gt=0,
        le=1000,
        description="Budget of regions: maximum runs of the model per second for each camera. As many as frames are "
        "analysed per second cost about as much as `frame`; fewer than that leave frames without a run, on which known "
        "objects are predicted.",
        examples=[6],
    )
    tiles: tuple[Annotated[int, Field(ge=1, le=16)], Annotated[int, Field(ge=1, le=16)]] | None = Field(
        None,
        description="Number of tiles, [columns, rows]; by default as many as show the frame at full resolution.",
        examples=[[3, 2]],
    )
    overlap: float = Field(
        0.2,
        ge=0,
        le=0.5,
        description="Least overlap of neighbouring tiles, as a share of their sides: larger objects may be cut by all "
        "tiles, and are found in the whole frame.",
    )


def _form(value: object) -> str:
    return "options" if isinstance(value, (dict, BaseModel)) else "mode"


LookChoice = Annotated[Annotated[LookMode, Tag("mode")] | Annotated[LookOptions, Tag("options")], Discriminator(_form)]


def look_options(choice: LookMode | LookOptions) -> LookOptions:
    """Returns the options that a choice stands for."""
    return choice if isinstance(choice, LookOptions) else LookOptions(mode=choice)
