"""Marks onto frames on the device, in place: launches overlay.cu."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from engines.cuda.launch.layout import MARK, SCENE, record
from engines.cuda.launch.marks import Colour, GlyphAtlas, Letter, Mark, Outline
from engines.cuda.launch.picture import DevicePicture, bgr_to_yuv
from engines.cuda.launch.seam import Device, Grid, Kernels, blocks
from engines.cuda.launch.staging import Staging

BLOCK: Grid = (32, 8, 1)
"""The kernel counts on these 256 threads."""
_PLATE, _FRAME, _GLYPH = 0, 1, 2


class Overlay:
    """Draws on up to `max_batch` frames at once, with up to `max_marks` marks on all of them together.

    Belongs to one lane: the stream must be synchronised between two calls of `launch`. `close` twice is safe.
    """

    def __init__(
        self, device: Device, kernels: Kernels, atlas: GlyphAtlas, max_batch: int, max_marks: int = 4096
    ) -> None:
        self._atlas = atlas
        self._kernel = kernels.function("overlay", "overlay")
        self._scenes = Staging(device, SCENE, max_batch)
        self._marks = Staging(device, MARK, max_marks)

    def launch(self, scenes: Sequence[tuple[DevicePicture, Sequence[Mark]]], stream: Any) -> None:
        """Lays each frame's marks over it in their order. ValueError where there are too many: draw fewer letters."""
        structs = []
        marks: list[tuple[Any, ...]] = []
        for frame, of_frame in scenes:
            structs.append(record(SCENE, frame=frame.record(), first=len(marks), count=len(of_frame)))
            marks.extend(_fields(mark, frame) for mark in of_frame)
        if not marks:
            return
        described = self._marks.send(np.array(marks, MARK), stream)
        placed = self._scenes.send(structs, stream)
        grid = (
            blocks(max(frame.width for frame, _ in scenes), 2 * BLOCK[0]),
            blocks(max(frame.height for frame, _ in scenes), 2 * BLOCK[1]),
            len(scenes),
        )
        self._kernel.launch(grid, BLOCK, placed, described, self._atlas.buffer, stream=stream)

    def close(self) -> None:
        """The atlas stays its maker's."""
        self._scenes.close()
        self._marks.close()


def _fields(mark: Mark, frame: DevicePicture) -> tuple[Any, ...]:
    """The struct `Mark`, as a tuple: an array of many is made of these several times faster than of structs."""
    left, top, right, bottom = mark.place
    kind, radius, thickness, atlas = _PLATE, 0.0, 0.0, 0
    if isinstance(mark, Letter):
        kind, atlas = _GLYPH, mark.offset
    else:
        radius = mark.radius
        if isinstance(mark, Outline):
            kind, thickness = _FRAME, mark.thickness
    colour = _in_yuv(mark.colour, frame) if frame.nv12 else mark.colour
    return kind, left, top, right, bottom, radius, thickness, atlas, right - left, mark.cover, colour


def _in_yuv(colour: Colour, frame: DevicePicture) -> tuple[int, int, int]:
    weights = bgr_to_yuv(frame.matrix, frame.full_range)
    y, u, v = (
        sum(int(weight) * part for weight, part in zip(weights[name].tolist(), (*colour, 1), strict=True)) >> 20
        for name in ("y", "u", "v")
    )
    return y, u, v
