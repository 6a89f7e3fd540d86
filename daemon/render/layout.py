"""Sizes of everything that is drawn; all follow the image's size."""

from __future__ import annotations

from dataclasses import dataclass


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
