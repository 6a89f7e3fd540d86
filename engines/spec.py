"""What a network wants to be fed: the input specification that drives pre-processing on CPU and GPU alike."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ColourOrder(StrEnum):
    RGB = "RGB"
    BGR = "BGR"


class Resize(StrEnum):
    """How a picture of any size becomes one of the network's size."""

    STRETCH = "stretch"
    """Both sides scaled on their own; the aspect ratio is lost."""
    LETTERBOX_TOP_LEFT = "letterbox-top-left"
    """Aspect ratio kept, picture in the top left corner, padding right and below (YOLOX)."""
    LETTERBOX_CENTRE = "letterbox-centre"
    """Aspect ratio kept, padding equal on opposite sides."""
    FIT_TOP_LEFT = "fit-top-left"
    """Aspect ratio kept, picture in the top left corner and never enlarged, padding right and below (YuNet)."""


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One picture input, fed as float32 NCHW: `(pixel * scale - mean) / std` for each channel, in `colour` order.

    `width` and `height` in pixels; `pad` is the padding's pixel value (0-255, before scaling); `mean` and
    `std` are in the units that `pixel * scale` has and in the order of `colour`.
    """

    tensor: str
    width: int
    height: int
    colour: ColourOrder
    resize: Resize
    scale: float = 1.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    pad: int = 114
