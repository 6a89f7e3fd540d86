"""Scales stylised images up to the size of their source images: launches paint.cu."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sightd.engines.cuda.launch.interfaces import Device, Grid, Kernels, blocks
from sightd.engines.cuda.launch.layout import PAINTING, record
from sightd.engines.cuda.launch.picture import DevicePicture
from sightd.engines.cuda.launch.staging import Staging
from sightd.engines.cuda.launch.target import target

BLOCK: Grid = (32, 8, 1)
_PIXELS_ACROSS, _PIXELS_DOWN = 4, 2


@dataclass(frozen=True, slots=True)
class Finish:
    """How a stylised image is blended with its source: `strength` is its share, 0-1; `keep_colours` keeps the source's
    colours."""

    strength: float = 1.0
    keep_colours: bool = False


class Paint:
    """Blends up to `max_batch` stylised images at once.

    Belongs to one GPU pipeline: the stream must be synchronised between two calls of `launch`. `close` is idempotent.
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
        """Writes the stylised version of the first image of each pair to the second, which must have the same size.
        `planes` is the address of float32 [n, height, width, 6]: slopes of blue, green and red, then their offsets.
        `size` is width, height. Raises ValueError if sizes differ."""
        if not pictures:
            return
        if any((source.width, source.height) != (to.width, to.height) for source, to in pictures):
            raise ValueError("a painting must have the size of its image")
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
