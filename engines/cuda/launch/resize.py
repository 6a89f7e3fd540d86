"""Resizes images on the device and converts their format and colours: launches resize.cu."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from sightd.engines.cuda.launch.device import Device, Grid, Kernels, Staging, blocks
from sightd.engines.cuda.launch.layout import RESIZED, TARGET, record
from sightd.engines.cuda.launch.picture import DevicePicture, bgr_to_yuv


def steps(source: int, target: int) -> tuple[int, int]:
    """Returns step and start in 32.32 fixed point: source position = (target pixel + 1/2) · source/target − 1/2."""
    return round((source << 32) / target), round((source << 31) / target) - (1 << 31)


def target(frame: DevicePicture, width: int, height: int) -> NDArray[Any]:
    """Returns the struct `Target`: `frame` filled from an image of `width` x `height`, in the frame's own colour
    format."""
    (step_x, start_x), (step_y, start_y) = steps(width, frame.width), steps(height, frame.height)
    return record(
        TARGET,
        frame=frame.record(),
        step_x=step_x,
        start_x=start_x,
        step_y=step_y,
        start_y=start_y,
        yuv=bgr_to_yuv(frame.matrix, frame.full_range),
    )


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
