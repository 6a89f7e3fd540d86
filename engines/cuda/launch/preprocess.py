"""Converts frames on the device, and sheets with parts of them, to model input: launches preprocess.cu, the counterpart
of `engines.preprocess.prepare`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightd.engines.cuda.launch.device import Buffer, Device, Grid, GrowingStaging, Kernels, blocks, precision
from sightd.engines.cuda.launch.layout import INPUT_LAYOUT, PLACEMENT, record
from sightd.engines.cuda.launch.picture import DevicePicture, PictureSheet, Rectangle
from sightd.engines.cuda.launch.resize import steps
from sightd.engines.model import ColourOrder, InputSpec
from sightd.engines.preprocess import Geometry, affine, letterbox

BLOCK: Grid = (32, 8, 1)
PIXELS_PER_THREAD = 4


class Preprocess:
    """Converts up to `max_batch` frames of any sizes and formats to one tensor [n, 3, height, width], or [n, height,
    width, 3] if `spec.nhwc` is True, of `dtype`: float32, float16, or uint8 for the pixels as they are.

    Belongs to one GPU pipeline: the stream must be synchronised between two calls of `launch`. `close` is idempotent.
    """

    def __init__(self, device: Device, kernels: Kernels, spec: InputSpec, max_batch: int, dtype: np.dtype[Any]) -> None:
        self._spec = spec
        self._dtype = dtype
        self._kernel = kernels.function("preprocess", image_kernel(dtype, "preprocess"))
        self._most = max_batch
        self._placements = GrowingStaging(device, PLACEMENT, max_batch)
        self._layout = input_layout(spec, dtype).tobytes()

    def launch(self, pictures: Sequence[DevicePicture | PictureSheet], tensor: Buffer, stream: Any) -> list[Geometry]:
        """Fills the first `len(pictures)` items of the tensor and returns the geometry of each image. Images and tensor
        must stay until the stream is done. Raises ValueError if the tensor is too small, or if a sheet has another size
        than the model's input."""
        spec = self._spec
        least = len(pictures) * 3 * spec.width * spec.height * self._dtype.itemsize
        if tensor.nbytes < least:
            raise ValueError(f"a batch of {len(pictures)} needs {least} bytes, the tensor has {tensor.nbytes}")
        if len(pictures) > self._most:
            raise ValueError(f"a batch of {len(pictures)} exceeds the buffer size of {self._most}")
        if not pictures:
            return []
        places = [letterbox(picture.width, picture.height, spec) for picture in pictures]
        parts = [_parts(picture, place) for picture, place in zip(pictures, places, strict=True)]
        most = max(map(len, parts))
        structs = np.zeros((len(parts), most), PLACEMENT)  # those without parts have no pixels
        for row, of_picture in zip(structs, parts, strict=True):
            row[: len(of_picture)] = of_picture
        grid = (blocks(spec.width, BLOCK[0] * PIXELS_PER_THREAD), blocks(spec.height, BLOCK[1]), len(pictures))
        descriptors = self._placements.send([structs.ravel()], stream)
        self._kernel.launch(grid, BLOCK, descriptors, np.int32(most), tensor, self._layout, stream=stream)
        return [
            Geometry(width / picture.width, height / picture.height, left, top, picture.width, picture.height)
            for picture, (left, top, width, height) in zip(pictures, places, strict=True)
        ]

    def close(self) -> None:
        self._placements.close()


def image_kernel(dtype: np.dtype[Any], kernel: str) -> str:
    """Returns the name of a kernel that writes images of `dtype`. Raises ValueError unless it is float32, float16 or
    uint8."""
    return f"{kernel}_u8" if dtype == np.uint8 else precision(dtype, kernel)


def input_layout(spec: InputSpec, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Returns the struct `InputLayout` for an input of `dtype`."""
    factor, summand = affine(spec, dtype)
    return record(
        INPUT_LAYOUT,
        width=spec.width,
        height=spec.height,
        red_first=spec.colour is ColourOrder.RGB,
        interleaved=spec.nhwc,
        factor=factor,
        summand=summand,
        pad=np.float32(spec.pad) * factor + summand,
    )


def _parts(picture: DevicePicture | PictureSheet, place: Rectangle) -> list[NDArray[Any]]:
    """Returns the structs `Placement` of an image that is resized to `place`, or of the parts of a sheet."""
    if isinstance(picture, DevicePicture):
        return [placement(picture, (0, 0, picture.width, picture.height), place)]
    if place != (0, 0, picture.width, picture.height):
        raise ValueError(f"a sheet of {picture.width}x{picture.height} px has not the size of the model's input")
    return [placement(picture.picture, view, there) for view, there in picture.parts]


def placement(picture: DevicePicture, view: Rectangle, place: Rectangle) -> NDArray[Any]:
    """Returns the struct `Placement`: the part `view` (left, top, right, bottom) of the image, at `place` (left, top,
    width, height). If the corner of `view` is odd, enlarging it mixes in the pixels before it."""
    x, y, right, bottom = view
    left, top, width, height = place
    odd_x, odd_y = x % 2, y % 2
    step_x, start_x = steps(right - x, width)
    step_y, start_y = steps(bottom - y, height)
    return record(
        PLACEMENT,
        source=picture.part(x - odd_x, y - odd_y, right, bottom).record(),
        step_x=step_x,
        start_x=start_x + (odd_x << 32),
        step_y=step_y,
        start_y=start_y + (odd_y << 32),
        left=left,
        top=top,
        width=width,
        height=height,
    )
