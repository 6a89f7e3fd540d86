"""How large things are drawn: every length follows the picture's size."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measures:
    """Lengths in output pixels for a picture of `width` × `height`."""

    width: int
    height: int
    font: int
    """Size of the letters of labels and of the status line."""
    line: int
    """Thickness of a box's line."""
    accent: int
    """Thickness of a box's line at the corners."""
    arm: int
    """How far the corner's accent reaches along each side."""
    radius: int
    """Rounding of a box's corners and of plates."""
    halo: int
    """Width of the dark rim that keeps a line visible on a picture of its own colour."""
    margin: int
    """Distance of the status line from the picture's edge."""

    @classmethod
    def of(cls, width: int, height: int) -> Measures:
        """The measures for a picture; the shorter side counts, so that an upright picture is drawn alike."""
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
