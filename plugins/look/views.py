"""Views of a frame: rectangles that a model looks at separately, and tiles and grids of them that cover the frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightd.plugins.api import FloatArray

View = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels of the frame; right and bottom are exclusive."""
Mask = NDArray[np.bool_]

_EDGE = 2.0
"""A box that ends within this many pixels of a view's edge is taken to be cut off there."""


@dataclass(frozen=True, slots=True)
class ScaledView:
    """A view, and the scale at which a model is shown it: 1 is the camera's own resolution, less is smaller."""

    view: View
    scale: float = 1.0

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels of the model's input."""
        left, top, right, bottom = self.view
        return max(round((right - left) * self.scale), 1), max(round((bottom - top) * self.scale), 1)


def whole(width: int, height: int) -> View:
    """Returns the view of the whole frame."""
    return (0, 0, width, height)


def even(view: View) -> View:
    """Returns the view with its corner moved left and up to even pixels, where parts of an NV12 image start."""
    return view[0] & ~1, view[1] & ~1, view[2], view[3]


def tiles(width: int, height: int, side: tuple[int, int], overlap: float = 0.2) -> list[View]:
    """Returns the fewest equal views of at most `side` (width, height) px that cover the frame, row by row.

    Neighbours overlap by at least `overlap` of their sides, so an object of that size is complete in one of them.
    """
    return _crossed(_tiled(width, side[0], overlap), _tiled(height, side[1], overlap))


def grid(width: int, height: int, count: tuple[int, int], overlap: float) -> list[View]:
    """Returns `count` (columns, rows) equal views that cover the frame and overlap by `overlap` of their sides, row by
    row."""
    return _crossed(
        _spread(width, _side(width, count[0], overlap), count[0]),
        _spread(height, _side(height, count[1], overlap), count[1]),
    )


def largest_grid(
    width: int, height: int, input_size: tuple[int, int], most: int, overlap: float, enlarged: float = 1.0
) -> list[ScaledView]:
    """Returns at most `most` equal views that cover the frame and overlap by at least `overlap` of their sides: those
    that show it largest in model inputs of `input_size` (width, height) px, at most `enlarged` times, and of these the
    fewest."""
    counts = [(columns, rows) for columns in range(1, most + 1) for rows in range(1, most // columns + 1)]

    def scale(count: tuple[int, int]) -> float:
        across, down = _side(width, count[0], overlap), _side(height, count[1], overlap)
        return min(enlarged, input_size[0] / across, input_size[1] / down)

    best = max(counts, key=lambda count: (scale(count), -count[0] * count[1]))
    return [ScaledView(view, scale(best)) for view in grid(width, height, best, overlap)]


def _crossed(columns: Sequence[tuple[int, int]], rows: Sequence[tuple[int, int]]) -> list[View]:
    return [(left, top, right, bottom) for top, bottom in rows for left, right in columns]


def _tiled(length: int, side: int, overlap: float) -> list[tuple[int, int]]:
    if side >= length:
        return [(0, length)]
    return _spread(length, side, 1 + int(np.ceil((length - side) / (side * (1 - overlap)))))


def _spread(length: int, side: int, count: int) -> list[tuple[int, int]]:
    starts: list[int] = np.linspace(0, length - side, count).astype(int).tolist()
    return [(start, start + side) for start in starts]


def _side(length: int, count: int, overlap: float) -> int:
    """Returns the length of `count` spans with this overlap that cover `length`."""
    return min(length, int(np.ceil(length / (count - (count - 1) * overlap))))


_MARGIN, _WIDEST_MARGIN = 0.5, 64.0
"""Margin around an object, as a share of its longer side, and at most (px): models need what surrounds it."""
_LEAST_VIEW = 64
"""Least width and height of a view around something, in px of the frame."""


def around(box: Sequence[float], width: int, height: int) -> View:
    """Returns the view of a box xyxy px with a margin on each side, moved to lie in the frame of `width` x `height`
    px."""
    x1, y1, x2, y2 = box
    wider, least = min(_MARGIN * max(x2 - x1, y2 - y1), _WIDEST_MARGIN), _LEAST_VIEW
    left, right = _span((x1 + x2) / 2, max(x2 - x1 + 2 * wider, least), width)
    top, bottom = _span((y1 + y2) / 2, max(y2 - y1 + 2 * wider, least), height)
    return (left, top, right, bottom)


def _span(centre: float, length: float, limit: int) -> tuple[int, int]:
    whole_length = min(int(np.ceil(length)), limit)
    start = int(min(max(centre - whole_length / 2, 0), limit - whole_length))
    return start, start + whole_length


def united(views: Sequence[View], side: tuple[int, int]) -> list[View]:
    """Returns the views with those united of which the union is hardly larger than both together, unless that makes it
    larger than `side` (width, height) px."""
    left = list(views)
    found: list[View] = []
    while left:
        view = left.pop()
        for other in left:
            both = union(view, other)
            fits = both[2] - both[0] <= side[0] and both[3] - both[1] <= side[1]
            if both in (other, view) or (fits and area(both) <= area(view) + area(other)):
                left.remove(other)
                left.append(both)
                break
        else:
            found.append(view)
    return found


def union(a: View, b: View) -> View:
    """Returns the smallest view that contains both."""
    return (min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))


def area(view: View) -> int:
    return (view[2] - view[0]) * (view[3] - view[1])


def cut_off(boxes: FloatArray, view: View, width: int, height: int) -> Mask:
    """Returns which boxes xyxy [n, 4] (pixels of the frame) end at an edge of the view that is not an edge of the frame
    of `width` x `height` px: the object probably continues beyond it."""
    left, top, right, bottom = view
    return (
        ((boxes[:, 0] <= left + _EDGE) & (left > 0))
        | ((boxes[:, 1] <= top + _EDGE) & (top > 0))
        | ((boxes[:, 2] >= right - _EDGE) & (right < width))
        | ((boxes[:, 3] >= bottom - _EDGE) & (bottom < height))
    )


def contains(view: View, boxes: FloatArray) -> Mask:
    """Returns which boxes xyxy [n, 4] lie in the view completely."""
    left, top, right, bottom = view
    found: Mask = (boxes[:, 0] >= left) & (boxes[:, 1] >= top) & (boxes[:, 2] <= right) & (boxes[:, 3] <= bottom)
    return found
