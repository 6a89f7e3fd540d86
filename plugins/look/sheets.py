"""Several views of a frame in one model input: packing, the image, and boxes mapped back.

A sheet is an image of the model's input size with parts of a frame next to each other, each at its own scale, with grey
between them. The model runs once for all of them. Boxes belong to the part that their centre lies in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sightd.plugins.api import Detections, Image
from sightd.plugins.look.merging import Found
from sightd.plugins.look.views import View

GREY = 114
"""Level of all channels between the parts, as in letterboxes."""
_GAP = 8
"""Least distance of two parts in pixels of the sheet, so that no object seems to reach from one into the other."""


@dataclass(frozen=True, slots=True)
class Look:
    """A view to look at, and the scale at which to: 1 is the camera's own resolution, less is smaller."""

    view: View
    scale: float = 1.0

    @property
    def size(self) -> tuple[int, int]:
        """Width and height on the sheet."""
        left, top, right, bottom = self.view
        return max(round((right - left) * self.scale), 1), max(round((bottom - top) * self.scale), 1)


@dataclass(frozen=True, slots=True)
class Part:
    """A view on a sheet, at `x`, `y` (its top left corner there)."""

    look: Look
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Sheet:
    """The parts of one model input of `width` x `height` px."""

    width: int
    height: int
    parts: tuple[Part, ...]


@dataclass(slots=True)
class _Shelf:
    sheet: int
    y: int
    height: int
    used: int


class Packer:
    """Packs views into at most `most` sheets of `width` x `height` px: shelves, first fit. Not thread-safe."""

    def __init__(self, width: int, height: int, most: int) -> None:
        self._width, self._height, self.most = width, height, most
        self._shelves: list[_Shelf] = []
        self._parts: list[list[Part]] = []

    def add(self, look: Look) -> bool:
        """Adds a view, shrunk if it is larger than a sheet; returns False if there is no room for it."""
        left, top, right, bottom = look.view
        look = Look(look.view, min(look.scale, self._width / (right - left), self._height / (bottom - top)))
        wide, high = look.size
        shelf = self._shelf_for(wide, high)
        if shelf is None:
            return False
        self._parts[shelf.sheet].append(Part(look, shelf.used, shelf.y))
        shelf.used += wide + _GAP
        return True

    def sheets(self) -> list[Sheet]:
        """Returns the sheets as they are filled by now; none is empty."""
        return [Sheet(self._width, self._height, tuple(of_sheet)) for of_sheet in self._parts]

    def _shelf_for(self, wide: int, high: int) -> _Shelf | None:
        for shelf in self._shelves:
            if high <= shelf.height and shelf.used + wide <= self._width:
                return shelf
        new = self._new_shelf(high)
        if new is not None:
            self._shelves.append(new)
        return new

    def _new_shelf(self, high: int) -> _Shelf | None:
        """Returns a shelf below the others of the first sheet that has room, or on a new sheet."""
        for sheet in range(len(self._parts)):
            below = max(one.y + one.height + _GAP for one in self._shelves if one.sheet == sheet)
            if below + high <= self._height:
                return _Shelf(sheet, below, high, 0)
        if len(self._parts) == self.most:
            return None
        self._parts.append([])
        return _Shelf(len(self._parts) - 1, 0, high, 0)


def packed(looks: Sequence[Look], width: int, height: int, most: int) -> Packer:
    """Returns a packer with as many of `looks` as fit on `most` sheets of `width` x `height` px, the first of which are
    the most important. It takes more only where room is left on the sheets that are used.

    Views are placed in descending height, which wastes little for views of similar size. How many fit is found by
    bisection.
    """
    room = np.cumsum([min(look.size[0], width) * min(look.size[1], height) for look in looks])
    best, fits, limit = Packer(width, height, most), 0, int(np.searchsorted(room, most * width * height, "right"))
    while fits < limit:
        count = (fits + limit + 1) // 2
        packer = Packer(width, height, most)
        if all(packer.add(look) for look in sorted(looks[:count], key=lambda one: -one.size[1])):
            best, fits = packer, count
        else:
            limit = count - 1
    best.most = len(best.sheets())
    return best


def drawn(sheet: Sheet, frame: Image) -> Image:
    """Returns the sheet as a new BGR uint8 image [height, width, 3]. Views of `frame` are copied, those at a smaller
    scale by averaging."""
    image: Image = np.full((sheet.height, sheet.width, 3), GREY, np.uint8)
    for part in sheet.parts:
        left, top, right, bottom = part.look.view
        wide, high = part.look.size
        view = frame[top:bottom, left:right]
        if (wide, high) != (right - left, bottom - top):
            shrinks = part.look.scale < 0.5
            how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            view = np.asarray(cv2.resize(view, (wide, high), interpolation=how), np.uint8)
        image[part.y : part.y + high, part.x : part.x + wide] = view
    return image


def to_frame(part: Part) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns scale and offset [2], x and y each, from pixels of the sheet to pixels of the frame."""
    left, top, right, bottom = part.look.view
    wide, high = part.look.size
    scale = np.array(((right - left) / wide, (bottom - top) / high))
    return scale, np.array((left, top)) - np.array((part.x, part.y)) * scale


def in_frame(sheet: Sheet, found: Detections, first: int, before: int = 0) -> Found:
    """Maps what was found on a sheet, in its pixels, to the frame. The parts are views `first`, `first` + 1 … in order.
    `before` is how much was found on the sheets before this one.

    Boxes are clipped to the part that holds their centre; those with their centre between parts are dropped.
    """
    centres = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
    mapped = []
    for index, part in enumerate(sheet.parts):
        wide, high = part.look.size
        corner, end = np.array((part.x, part.y)), np.array((part.x + wide, part.y + high))
        rows = np.flatnonzero(((centres >= corner) & (centres < end)).all(axis=1))
        scale, offset = to_frame(part)
        boxes = np.clip(found.boxes[rows], np.tile(corner, 2), np.tile(end, 2))
        boxes = boxes * np.tile(scale, 2) + np.tile(offset, 2)
        mapped.append(
            Found(
                boxes.astype(np.float32),
                found.scores[rows],
                found.class_ids[rows],
                np.full(len(rows), first + index, np.int64),
                before + rows,
            )
        )
    return Found.joined(mapped)
