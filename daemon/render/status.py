"""The status line: camera name, local time, frame rate and lateness, at the top left of the image."""

from __future__ import annotations

import time

from sightd.daemon.render import lettering
from sightd.daemon.render.canvas import OutputCanvas
from sightd.daemon.render.measures import Measures
from sightd.daemon.render.palette import BLACK
from sightd.daemon.render.stamp import Stamp
from sightd.daemon.render.stamps import GLASS, plate
from sightd.daemon.render.surface import Rect

_QUIET = 0.78
"""Opacity of the text beside the name."""


class Status:
    """Draws the line; its text is rendered once a second and copied in between. Used by one thread."""

    def __init__(self, title: str, *, late_only: bool = False) -> None:
        """`late_only`: the line only says how late the video is."""
        self._title = title
        self._late_only = late_only
        self._drawn: tuple[int, Measures, bool] | None = None
        self._stamp: Stamp | None = None

    def prepare(self, canvas: OutputCanvas, wall_time: float, fps: float | None, late_by: float | None = None) -> Rect:
        """Renders the line if the second or the size is new, or lateness begins or ends. Returns the rectangle it will
        take."""
        wanted = int(wall_time), canvas.measures, late_by is not None
        if self._stamp is None or self._drawn != wanted:
            self._stamp, self._drawn = self._letter(canvas.measures, self._parts(wall_time, fps, late_by)), wanted
        margin = canvas.measures.margin
        return margin, margin, margin + self._stamp.width, margin + self._stamp.height

    def draw(self, canvas: OutputCanvas) -> None:
        """Draws the line onto the image."""
        if self._stamp is not None:
            canvas.stamp(self._stamp, canvas.measures.margin, canvas.measures.margin)

    def _parts(self, wall_time: float, fps: float | None, late_by: float | None) -> list[tuple[str, int, float]]:
        late = [] if late_by is None else [(f"late by {late_by:.1f} s", lettering.BOLD, 1.0)]
        if self._late_only:
            return late
        parts = [(time.strftime("%H:%M:%S", time.localtime(wall_time)), lettering.REGULAR, _QUIET)]
        if fps is not None:
            parts.append((_rate(fps), lettering.REGULAR, _QUIET))
        return parts + late

    def _letter(self, measures: Measures, parts: list[tuple[str, int, float]]) -> Stamp:
        size = measures.font
        if self._late_only:
            return plate(parts, size, BLACK, GLASS)
        taken = sum(lettering.width_of(text, size) + size for text, _, _ in parts)
        room = max(0, measures.width - 2 * measures.margin - taken - size)
        title = lettering.fitted(self._title, size, room, lettering.BOLD)
        if title:
            parts = [(title, lettering.BOLD, 1.0), *parts]
        return plate(parts, size, BLACK, GLASS)


def _rate(fps: float) -> str:
    """Returns the frame rate as text; below one frame a second, the interval instead."""
    if fps < 0.95:
        return f"every {1 / fps:.0f} s"
    return f"{fps:.0f} fps" if fps >= 9.95 else f"{fps:.1f} fps"
