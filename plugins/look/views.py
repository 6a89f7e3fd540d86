"""Views of a frame: rectangles that a model looks at separately."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sightd.plugins.api import FloatArray

View = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels of the frame; right and bottom are exclusive."""
Mask = NDArray[np.bool_]

_EDGE = 2.0
"""A box that ends within this many pixels of a view's edge is taken to be cut off there."""


def whole(width: int, height: int) -> View:
    """Returns the view of the whole frame."""
    return (0, 0, width, height)


def tiles(width: int, height: int, side: tuple[int, int], overlap: float = 0.2) -> list[View]:
    """Returns equal views of at most `side` (width, height) px that cover the frame, row by row.

    Neighbours overlap by at least `overlap` of their sides, so an object of that size is complete in one of them.
    """
    columns, rows = _spans(width, side[0], overlap), _spans(height, side[1], overlap)
    return [(left, top, right, bottom) for top, bottom in rows for left, right in columns]


def _spans(length: int, side: int, overlap: float) -> list[tuple[int, int]]:
    if side >= length:
        return [(0, length)]
    count = 1 + int(np.ceil((length - side) / (side * (1 - overlap))))
    starts = np.linspace(0, length - side, count).astype(int).tolist()
    return [(start, start + side) for start in starts]


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


def joined(views: Sequence[View], side: tuple[int, int]) -> list[View]:
    """Returns the views with those united of which the union is hardly larger than both together, unless that makes it
    larger than `side` (width, height) px."""
    left = list(views)
    found: list[View] = []
    while left:
        view = left.pop()
        for other in left:
            both = united(view, other)
            fits = both[2] - both[0] <= side[0] and both[3] - both[1] <= side[1]
            if both in (other, view) or (fits and area(both) <= area(view) + area(other)):
                left.remove(other)
                left.append(both)
                break
        else:
            found.append(view)
    return found


def united(a: View, b: View) -> View:
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
