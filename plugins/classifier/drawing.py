"""Draws classes: one unobtrusive line for the whole frame, or one label below each object."""

from __future__ import annotations

from sightd.plugins.types import Canvas, Classification, Frame

_INK = (235, 225, 205)
"""Text colour, BGR."""


def draw(canvas: Canvas, frame: Frame, found: Classification) -> None:
    """Draws the classes that are likely enough; for an object only the likeliest one."""
    for row in range(len(found)):
        likely = [(label, score) for label, _, score in found.of_row(row) if score >= found.shown_from]
        words = [f"{label} {score:.0%}" for label, score in likely]
        if not words:
            continue
        if found.tracks[row] < 0 and found.detection[row] < 0:
            canvas.text((0.02 * frame.height, 0.98 * frame.height), "  ·  ".join(words), _INK)
        else:
            left, _, _, bottom = found.boxes[row].tolist()
            canvas.text((left, bottom), words[0], _INK)
