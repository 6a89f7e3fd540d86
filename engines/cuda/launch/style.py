"""Converts images in a model's output to frames on the device: launches style.cu."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sightd.engines.cuda.launch.heads import DeviceTensor
from sightd.engines.cuda.launch.interfaces import Device, Function, Grid, Kernels, blocks, precision
from sightd.engines.cuda.launch.layout import OUTPUT_LAYOUT, TARGET, record
from sightd.engines.cuda.launch.picture import DevicePicture
from sightd.engines.cuda.launch.staging import Staging
from sightd.engines.cuda.launch.target import target
from sightd.engines.spec import ColourOrder

BLOCK: Grid = (32, 8, 1)
_PIXELS_ACROSS, _PIXELS_DOWN = 4, 2


class Style:
    """Converts up to `max_batch` images of one model's output. Bytes are computed as `value * factor + summand`.

    Belongs to one GPU pipeline: the stream must be synchronised between two calls of `launch`. `close` is idempotent.
    """

    def __init__(
        self,
        device: Device,
        kernels: Kernels,
        max_batch: int,
        colour: ColourOrder,
        factor: float = 255.0,
        summand: float = 0.0,
    ) -> None:
        self._kernels = kernels
        self._colour, self._factor, self._summand = colour, factor, summand
        self._targets = Staging(device, TARGET, max_batch)

    def launch(self, tensor: DeviceTensor, frames: Sequence[DevicePicture], stream: Any) -> None:
        """Writes the first `len(frames)` images of `tensor` [n, 3, h, w] to the frames, resized to their sizes. Raises
        ValueError if the tensor has another shape."""
        if len(tensor.shape) != 4 or tensor.shape[1] != 3 or tensor.shape[0] < len(frames):
            raise ValueError(f"{len(frames)} frames require a tensor [n, 3, height, width], not {list(tensor.shape)}")
        if not frames:
            return
        height, width = tensor.shape[2:]
        structs = [target(frame, width, height) for frame in frames]
        layout = record(
            OUTPUT_LAYOUT,
            width=width,
            height=height,
            red_first=self._colour is ColourOrder.RGB,
            factor=self._factor,
            summand=self._summand,
        )
        grid = (
            blocks(max(frame.width for frame in frames), BLOCK[0] * _PIXELS_ACROSS),
            blocks(max(frame.height for frame in frames), BLOCK[1] * _PIXELS_DOWN),
            len(frames),
        )
        targets = self._targets.send(structs, stream)
        self._kernel(tensor).launch(grid, BLOCK, np.uint64(tensor.address), targets, layout.tobytes(), stream=stream)

    def _kernel(self, tensor: DeviceTensor) -> Function:
        return self._kernels.function("style", precision(tensor.dtype, "style"))

    def close(self) -> None:
        self._targets.close()
