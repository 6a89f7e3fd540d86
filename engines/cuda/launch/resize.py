"""Resizes images on the device and converts their format and colours: launches resize.cu."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sightd.engines.cuda.launch.interfaces import Device, Grid, Kernels, blocks
from sightd.engines.cuda.launch.layout import RESIZED, record
from sightd.engines.cuda.launch.picture import DevicePicture
from sightd.engines.cuda.launch.staging import Staging
from sightd.engines.cuda.launch.target import target

BLOCK: Grid = (32, 8, 1)
_PIXELS_ACROSS, _PIXELS_DOWN = 4, 2


class Resize:
    """Resizes up to `max_batch` images at once.

    Bilinear: shrinking to less than half the size skips pixels. With `means`, each pixel is the mean of the pixels that
    it covers, and no target may be larger than its source.

    Belongs to one GPU pipeline: the stream must be synchronised between two calls of `launch`. `close` is idempotent.
    """

    def __init__(self, device: Device, kernels: Kernels, max_batch: int, *, means: bool = False) -> None:
        self._kernel = kernels.function("resize", "shrink_pictures" if means else "resize_pictures")
        self._means = means
        self._pictures = Staging(device, RESIZED, max_batch)

    def launch(self, pairs: Sequence[tuple[DevicePicture, DevicePicture]], stream: Any) -> None:
        """Resizes the first image of each pair into the second. Raises ValueError if `means` would have to enlarge."""
        if not pairs:
            return
        if self._means and any(to.width > of.width or to.height > of.height for of, to in pairs):
            raise ValueError("averaging pixels can only shrink an image, not enlarge it")
        structs = [
            record(RESIZED, source=source.record(), target=target(frame, source.width, source.height))
            for source, frame in pairs
        ]
        grid = (
            blocks(max(frame.width for _, frame in pairs), BLOCK[0] * _PIXELS_ACROSS),
            blocks(max(frame.height for _, frame in pairs), BLOCK[1] * _PIXELS_DOWN),
            len(pairs),
        )
        self._kernel.launch(grid, BLOCK, self._pictures.send(structs, stream), stream=stream)

    def close(self) -> None:
        self._pictures.close()
