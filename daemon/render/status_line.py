"""The status line: camera name, local time, frame rate and lateness, at the top left of the image."""

from __future__ import annotations

import time

from sightd.daemon.render.canvas import OutputCanvas
from sightd.daemon.render.surface import Rect
from sightd.daemon.render.text import BOLD, GLASS, REGULAR, Sprite, fitted, plate, width_of
from sightd.daemon.render.theme import BLACK, Layout

_QUIET = 0.78
"""Opacity of the text beside the name."""


class StatusLine:
    """Draws the line; its text is rendered once a second and copied in between. Used by one thread."""

    def __init__(self, title: str, *, late_only: bool = False) -> None:
        """`late_only`: the line only says how late the video is."""
        self._title = title
        self._late_only = late_only
        self._drawn: tuple[int, Layout, bool] | None = None
        self._sprite: Sprite | None = None

    def prepare(self, canvas: OutputCanvas, wall_time: float, fps: float | None, late_by: float | None = None) -> Rect:
        """Renders the line if the second or the size is new, or lateness begins or ends. Returns the rectangle it will
        take."""
        wanted = int(wall_time), canvas.layout, late_by is not None
        if self._sprite is None or self._drawn != wanted:
            self._sprite, self._drawn = self._letter(canvas.layout, self._parts(wall_time, fps, late_by)), wanted
        margin = canvas.layout.margin
        return margin, margin, margin + self._sprite.width, margin + self._sprite.height

    def draw(self, canvas: OutputCanvas) -> None:
        """Draws the line onto the image."""
        if self._sprite is not None:
            canvas.sprite(self._sprite, canvas.layout.margin, canvas.layout.margin)

    def _parts(self, wall_time: float, fps: float | None, late_by: float | None) -> list[tuple[str, int, float]]:
        late = [] if late_by is None else [(f"late by {late_by:.1f} s", BOLD, 1.0)]
        if self._late_only:
            return late
        parts = [(time.strftime("%H:%M:%S", time.localtime(wall_time)), REGULAR, _QUIET)]
        if fps is not None:
            parts.append((_rate(fps), REGULAR, _QUIET))
        return parts + late

    def _letter(self, layout: Layout, parts: list[tuple[str, int, float]]) -> Sprite:
        size = layout.font
        if self._late_only:
            return plate(parts, size, BLACK, GLASS)
        taken = sum(width_of(text, size) + size for text, _, _ in parts)
        room = max(0, layout.width - 2 * layout.margin - taken - size)
        title = fitted(self._title, size, room, BOLD)
        if title:
            parts = [(title, BOLD, 1.0), *parts]
        return plate(parts, size, BLACK, GLASS)


def _rate(fps: float) -> str:
    """Returns the frame rate as text; below one frame a second, the interval instead."""
    if fps < 0.95:
        return f"every {1 / fps:.0f} s"
    return f"{fps:.0f} fps" if fps >= 9.95 else f"{fps:.1f} fps"
