"""Several views of a frame in one model input: packing, the image, and boxes mapped back.

A sheet is an image of the model's input size with parts of a frame next to each other, each at its own scale, with
padding between them. The model runs once for all of them. Boxes belong to the part that their centre lies in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from sightd.engines.cuda.image import DeviceImage, DeviceSheet
from sightd.engines.cuda.launch.picture import PictureSheet
from sightd.plugins.api import Detections, FloatArray, Frame, Image, IntArray
from sightd.plugins.look.merging import ViewDetections
from sightd.plugins.look.views import ScaledView

GREY = 114
"""Level of all channels between the parts, as in letterboxes."""
_GAP = 8
"""Least distance of two parts in pixels of the sheet, so that no object seems to reach from one into the other."""


@dataclass(frozen=True, slots=True)
class Part(ScaledView):
    """A view on a sheet, at `x`, `y` (its top left corner there)."""

    x: int = 0
    y: int = 0


@dataclass(frozen=True, slots=True)
class Sheet:
    """The parts of one model input of `width` x `height` px."""

    width: int
    height: int
    parts: tuple[Part, ...]

    @classmethod
    def of(cls, view: ScaledView, width: int, height: int) -> Sheet:
        """Returns a sheet with one view, shrunk if it is larger than the sheet."""
        return cls(width, height, (Part(view.view, _fitting(view, width, height).scale),))

    @property
    def bottom(self) -> int:
        """The row below the lowest part."""
        return max((part.y + part.size[1] for part in self.parts), default=0)


def _fitting(view: ScaledView, width: int, height: int) -> ScaledView:
    left, top, right, bottom = view.view
    return ScaledView(view.view, min(view.scale, width / (right - left), height / (bottom - top)))


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

    def add(self, view: ScaledView) -> bool:
        """Adds a view, shrunk if it is larger than a sheet; returns False if there is no room for it."""
        view = _fitting(view, self._width, self._height)
        wide, high = view.size
        shelf = self._shelf_for(wide, high)
        if shelf is None:
            return False
        self._parts[shelf.sheet].append(Part(view.view, view.scale, shelf.used, shelf.y))
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


def packed(views: Sequence[ScaledView], width: int, height: int, most: int) -> tuple[Packer, int]:
    """Returns a packer with as many of `views` as fit on `most` sheets of `width` x `height` px, the first of which are
    the most important, and how many these are; of the others, it has those for which room was left. It takes more only
    where room is left on the sheets that are used.

    Views are placed in descending height, which wastes little for views of similar size. How many fit is found by
    bisection.
    """
    room = np.cumsum([min(view.size[0], width) * min(view.size[1], height) for view in views])
    best, fits, limit = Packer(width, height, most), 0, int(np.searchsorted(room, most * width * height, "right"))
    while fits < limit:
        count = (fits + limit + 1) // 2
        packer = Packer(width, height, most)
        if all(packer.add(view) for view in sorted(views[:count], key=lambda one: -one.size[1])):
            best, fits = packer, count
        else:
            limit = count - 1
    best.most = len(best.sheets())
    for view in views[fits:]:
        best.add(view)
    return best, fits


class ImageSource(Protocol):
    """What a model is shown: a frame, or a sheet with parts of one."""

    def host(self) -> Image: ...

    def device(self, ordinal: int) -> DeviceImage | DeviceSheet | None: ...


@dataclass(frozen=True, slots=True)
class FrameSheet:
    """A sheet of a frame, with the level `pad` of all channels between the parts. It is drawn by who needs it: here, or
    by the GPU that decoded the frame, on which it is drawn into the model's input."""

    frame: Frame
    sheet: Sheet
    pad: int = GREY

    def host(self) -> Image:
        return drawn(self.sheet, self.frame.host(), self.pad)

    def device(self, ordinal: int) -> DeviceSheet | None:
        """Returns the sheet if its frame is already on GPU `ordinal`, else None. Its padding is the model's."""
        image = self.frame.device(ordinal)
        if image is None:
            return None
        parts = tuple((part.view, (part.x, part.y, *part.size)) for part in self.sheet.parts)
        return DeviceSheet(image, PictureSheet(image.picture, self.sheet.width, self.sheet.height, parts))


def drawn(sheet: Sheet, frame: Image, pad: int = GREY) -> Image:
    """Returns the sheet as a new BGR uint8 image [height, width, 3]. Views of `frame` are copied, or resized as whole
    frames are (bilinear)."""
    image: Image = np.full((sheet.height, sheet.width, 3), pad, np.uint8)
    for part in sheet.parts:
        left, top, right, bottom = part.view
        wide, high = part.size
        view = frame[top:bottom, left:right]
        if (wide, high) != (right - left, bottom - top):
            view = np.asarray(cv2.resize(view, (wide, high), interpolation=cv2.INTER_LINEAR), np.uint8)
        image[part.y : part.y + high, part.x : part.x + wide] = view
    return image


def rows_of(part: Part, boxes: FloatArray) -> IntArray:
    """Returns which boxes xyxy [n, 4], in pixels of the sheet, have their centre in a part."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2 - (part.x, part.y)
    return np.flatnonzero(((centres >= 0) & (centres < part.size)).all(axis=1))


def to_frame(part: Part) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns scale and offset [2], x and y each, from pixels of the sheet to pixels of the frame."""
    left, top, right, bottom = part.view
    wide, high = part.size
    scale = np.array(((right - left) / wide, (bottom - top) / high))
    return scale, np.array((left, top)) - np.array((part.x, part.y)) * scale


def in_frame(sheet: Sheet, found: Detections, first: int, before: int = 0) -> ViewDetections:
    """Maps what was found on a sheet, in its pixels, to the frame. The parts are views `first`, `first` + 1 … in order.
    `before` is how much was found on the sheets before this one.

    Boxes are clipped to the part that holds their centre; those with their centre between parts are dropped.
    """
    mapped = []
    for index, part in enumerate(sheet.parts):
        rows = rows_of(part, found.boxes)
        wide, high = part.size
        scale, offset = to_frame(part)
        boxes = np.clip(found.boxes[rows], (part.x, part.y) * 2, (part.x + wide, part.y + high) * 2)
        boxes = boxes * np.tile(scale, 2) + np.tile(offset, 2)
        mapped.append(
            ViewDetections(
                boxes.astype(np.float32),
                found.scores[rows],
                found.class_ids[rows],
                np.full(len(rows), first + index, np.int64),
                before + rows,
            )
        )
    return ViewDetections.concatenated(mapped)
