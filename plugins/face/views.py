"""The views of a frame in which faces are searched: the whole frame, tiles, or the heads of people."""

from __future__ import annotations

import numpy as np

from sightd.plugins.types import FloatArray

View = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels of the frame; right and bottom are exclusive."""

_OVERLAP = 0.25
"""Overlap of neighbouring tiles, as a share of their sides: a face of that size is complete in at least one of them."""
_HEAD = 0.45
"""Share of a person's height, from the top, that is searched for the head; at least as much as their width, because a
box as wide as it is high shows head and shoulders."""
_AROUND = 0.15
"""Margin around the person's box, as a share of its sides: heads may extend beyond it."""
_LEAST = 24
"""Least length of a view's shorter side in pixels; no face in a smaller view would be usable."""


def tiles(width: int, height: int, count: int) -> list[View]:
    """Returns the whole frame and, if `count` is above 1, count x count overlapping tiles, row by row."""
    views = [(0, 0, width, height)]
    if count > 1:
        columns, rows = _spans(width, count), _spans(height, count)
        views += [(left, top, right, bottom) for top, bottom in rows for left, right in columns]
    return views


def heads(people: FloatArray, width: int, height: int) -> list[View]:
    """Returns the heads of people, from boxes xyxy float32 [n, 4] px; skips those with too little inside the frame."""
    views = []
    for x1, y1, x2, y2 in people[np.isfinite(people).all(axis=1)].tolist():
        across, down = _AROUND * (x2 - x1), _AROUND * (y2 - y1)
        left, right = max(0, int(x1 - across)), min(width, int(x2 + across))
        reach = min(max(_HEAD * (y2 - y1), x2 - x1), y2 - y1)
        top, bottom = max(0, int(y1 - down)), min(height, int(min(y1 + reach + across, y2 + down)))
        if min(right - left, bottom - top) >= _LEAST:
            views.append((left, top, right, bottom))
    return views


def cut_off(boxes: FloatArray, view: View, width: int, height: int) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Returns which boxes [n, 4] (pixels of the frame) touch an edge of the view inside the frame, so that another view
    shows them completely."""
    left, top, right, bottom = view
    at_edge = np.zeros(len(boxes), np.bool_)
    for column, edge, inner in ((0, left, left > 0), (1, top, top > 0)):
        at_edge |= inner & (boxes[:, column] <= edge + 1)
    for column, edge, inner in ((2, right, right < width), (3, bottom, bottom < height)):
        at_edge |= inner & (boxes[:, column] >= edge - 1)
    return at_edge


def _spans(length: int, count: int) -> list[tuple[int, int]]:
    """Returns `count` overlapping spans of equal length that cover `length`."""
    part = min(length, -(-length // count) + int(_OVERLAP * length / count))
    return [(start, start + part) for start in np.linspace(0, length - part, count).astype(int).tolist()]
