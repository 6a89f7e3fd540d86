"""Colours and sizes of everything that is drawn; colours stay the same from run to run, sizes follow the image's."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]
"""Blue, green, red; 0-255 each."""

BLACK: Colour = (0, 0, 0)
WHITE: Colour = (255, 255, 255)

_SIZE = 256
_GOLDEN_ANGLE = 180.0 * (3.0 - math.sqrt(5.0))
"""Degrees between successive hues: each falls into the widest gap that is left."""
_FIRST_HUE = 165.0
_LIGHTNESS = (0.80, 0.74, 0.86)
_CHROMA = np.linspace(0.20, 0.0, 41)


def colour_of(number: int) -> Colour:
    """Returns the colour of a class or track number: always the same, repeating after 256."""
    return _TABLE[number % _SIZE]


@functools.lru_cache(maxsize=_SIZE)
def ink_on(colour: Colour) -> Colour:
    """Returns black or white, whichever contrasts more with `colour`: the ratio is 4.58 or better on any colour."""
    return BLACK if contrast(colour, BLACK) >= contrast(colour, WHITE) else WHITE


def shade(colour: Colour) -> Colour:
    """Returns a dark shade of the colour, for the rim around lines."""
    blue, green, red = colour
    return blue // 5, green // 5, red // 5


def contrast(one: Colour, other: Colour) -> float:
    """Returns the contrast ratio of two colours, 1 to 21 (WCAG 2.2, "contrast ratio")."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: Colour) -> float:
    """Returns the relative luminance of an sRGB colour (WCAG 2.2, "relative luminance")."""
    blue, green, red = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _table() -> tuple[Colour, ...]:
    colours = []
    for number in range(_SIZE):
        hue = math.radians(_FIRST_HUE + number * _GOLDEN_ANGLE)
        lightness = _LIGHTNESS[number % len(_LIGHTNESS)]
        lab = np.stack([np.full_like(_CHROMA, lightness), _CHROMA * math.cos(hue), _CHROMA * math.sin(hue)], axis=1)
        rgb = _oklab_to_linear(lab)
        strongest = int(np.argmax(np.all((rgb >= 0) & (rgb <= 1), axis=1)))
        red, green, blue = (round(255 * _encode(float(v))) for v in rgb[strongest])
        colours.append((blue, green, red))
    return tuple(colours)


def _oklab_to_linear(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    """Converts OKLab colours [n, 3] to linear sRGB [n, 3] (B. Ottosson, "A perceptual color space for image
    processing")."""
    to_lms = np.array(
        [
            [1.0, 0.3963377774, 0.2158037573],
            [1.0, -0.1055613458, -0.0638541728],
            [1.0, -0.0894841775, -1.2914855480],
        ]
    )
    to_rgb = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    rgb: NDArray[np.float64] = ((lab @ to_lms.T) ** 3) @ to_rgb.T
    return rgb


def _encode(linear: float) -> float:
    """Applies the sRGB transfer function."""
    return 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055


_TABLE = _table()


@dataclass(frozen=True, slots=True)
class Layout:
    """Lengths in output pixels for an image of `width` × `height`."""

    width: int
    height: int
    font: int
    """Font size of labels and of the status line."""
    line: int
    """Line width of a box."""
    accent: int
    """Line width of a box at its corners."""
    arm: int
    """Length of a corner's accent along each side."""
    radius: int
    """Corner radius of a box."""
    halo: int
    """Width of the dark rim that keeps a line visible on a background of its own colour."""
    margin: int
    """Distance of the status line from the image's edge."""

    @classmethod
    def of(cls, width: int, height: int) -> Layout:
        """Returns the sizes for an image. They follow its shorter side, so that a portrait image looks the same."""
        short = min(width, height)
        return cls(
            width=width,
            height=height,
            font=max(11, round(5 + short / 80)),
            line=max(1, round(short / 480)),
            accent=max(2, round(short / 240)),
            arm=max(5, round(short / 40)),
            radius=max(2, round(short / 180)),
            halo=max(1, round(short / 1000)),
            margin=max(4, round(short / 60)),
        )
