"""Converts frames on the device to model input: launches preprocess.cu, the counterpart of
`engines.preprocess.prepare`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightd.engines.cuda.launch.device import Buffer, Device, Grid, Kernels, Staging, blocks, precision
from sightd.engines.cuda.launch.layout import INPUT_LAYOUT, PLACEMENT, record
from sightd.engines.cuda.launch.picture import DevicePicture
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
        self._placements = Staging(device, PLACEMENT, max_batch)
        self._layout = input_layout(spec, dtype).tobytes()

    def launch(self, pictures: Sequence[DevicePicture], tensor: Buffer, stream: Any) -> list[Geometry]:
        """Fills the first `len(pictures)` items of the tensor and returns the geometry of each image. Images and tensor
        must stay until the stream is done. Raises ValueError if the tensor is too small."""
        spec = self._spec
        least = len(pictures) * 3 * spec.width * spec.height * self._dtype.itemsize
        if tensor.nbytes < least:
            raise ValueError(f"a batch of {len(pictures)} needs {least} bytes, the tensor has {tensor.nbytes}")
        if not pictures:
            return []
        structs, geometries = [], []
        for picture in pictures:
            place = letterbox(picture.width, picture.height, spec)
            structs.append(placement(picture, place))
            left, top, width, height = place
            geometries.append(
                Geometry(width / picture.width, height / picture.height, left, top, picture.width, picture.height)
            )
        grid = (blocks(spec.width, BLOCK[0] * PIXELS_PER_THREAD), blocks(spec.height, BLOCK[1]), len(pictures))
        descriptors = self._placements.send(structs, stream)
        self._kernel.launch(grid, BLOCK, descriptors, tensor, self._layout, stream=stream)
        return geometries

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


def placement(picture: DevicePicture, place: tuple[int, int, int, int]) -> NDArray[Any]:
    """Returns the struct `Placement`: the image resized to `place`, which is (left, top, width, height)."""
    left, top, width, height = place
    step_x, start_x = steps(picture.width, width)
    step_y, start_y = steps(picture.height, height)
    return record(
        PLACEMENT,
        source=picture.record(),
        step_x=step_x,
        start_x=start_x,
        step_y=step_y,
        start_y=start_y,
        left=left,
        top=top,
        width=width,
        height=height,
    )
