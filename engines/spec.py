"""Input specification of a model, which drives preprocessing on both CPU and GPU."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ColourOrder(StrEnum):
    RGB = "RGB"
    BGR = "BGR"


class Resize(StrEnum):
    """How an image of any size is fitted to the model's input size."""

    STRETCH = "stretch"
    """Each side is scaled independently; the aspect ratio is lost."""
    LETTERBOX_TOP_LEFT = "letterbox-top-left"
    """Aspect ratio kept, image in the top left corner, padding on the right and bottom (YOLOX)."""
    LETTERBOX_CENTRE = "letterbox-centre"
    """Aspect ratio kept, image centred, equal padding on opposite sides."""
    FIT_TOP_LEFT = "fit-top-left"
    """Aspect ratio kept, image in the top left corner and never enlarged, padding on the right and bottom (YuNet)."""


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One image input as float32 NCHW: `(pixel * scale - mean) / std` for each channel, in `colour` order.

    `width` and `height` are in pixels; `pad` is the pixel value of the padding (0-255, before scaling); `mean` and
    `std` are in the units of `pixel * scale` and in the order of `colour`.
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
