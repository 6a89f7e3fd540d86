"""Converts images in a style model's output to frames on the device, and scales them up to the size of their source
images: launches style.cu and paint.cu."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sightd.engines.cuda.launch.device import Device, Function, Grid, Kernels, Staging, blocks, precision
from sightd.engines.cuda.launch.heads import DeviceTensor
from sightd.engines.cuda.launch.layout import OUTPUT_LAYOUT, PAINTING, TARGET, record
from sightd.engines.cuda.launch.picture import DevicePicture
from sightd.engines.cuda.launch.resize import target
from sightd.engines.model import ColourOrder

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
