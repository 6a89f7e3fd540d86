"""Paintings brought to the size of the pictures that were painted: launches paint.cu."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sightd.engines.cuda.launch.layout import PAINTING, record
from sightd.engines.cuda.launch.picture import DevicePicture
from sightd.engines.cuda.launch.seam import Device, Grid, Kernels, blocks
from sightd.engines.cuda.launch.staging import Staging
from sightd.engines.cuda.launch.target import target

BLOCK: Grid = (32, 8, 1)
_PIXELS_ACROSS, _PIXELS_DOWN = 4, 2


@dataclass(frozen=True, slots=True)
class Finish:
    """How a painting goes into its picture: its share of it, 0-1, and whether the picture keeps its own colours."""

    strength: float = 1.0
    keep_colours: bool = False


class Paint:
    """Up to `max_batch` paintings at once.

    Belongs to one lane: the stream must be synchronised between two calls of `launch`. `close` twice is safe.
    """

    def __init__(self, device: Device, kernels: Kernels, max_batch: int) -> None:
        self._kernel = kernels.function("paint", "paint")
        self._paintings = Staging(device, PAINTING, max_batch)

    def launch(
        self,
        pictures: Sequence[tuple[DevicePicture, DevicePicture]],
        planes: int,
        size: tuple[int, int],
        finish: Finish,
        stream: Any,
    ) -> None:
        """Fills the second of each pair, of the first's size, with its painting: `planes` is the address of float32
        [n, height, width, 6], slopes of blue, green and red and then their offsets; `size` is width, height."""
        if not pictures:
            return
        if any((source.width, source.height) != (to.width, to.height) for source, to in pictures):
            raise ValueError("a painting has its picture's size")
        width, height = size
        structs = [
            record(
                PAINTING,
                source=source.record(),
                target=target(frame, width, height),
                planes=planes + number * 6 * 4 * width * height,
                width=width,
                height=height,
                keep_colours=finish.keep_colours,
                strength=finish.strength,
            )
            for number, (source, frame) in enumerate(pictures)
        ]
        grid = (
            blocks(max(frame.width for _, frame in pictures), BLOCK[0] * _PIXELS_ACROSS),
            blocks(max(frame.height for _, frame in pictures), BLOCK[1] * _PIXELS_DOWN),
            len(pictures),
        )
        self._kernel.launch(grid, BLOCK, self._paintings.send(structs, stream), stream=stream)

    def close(self) -> None:
        self._paintings.close()
