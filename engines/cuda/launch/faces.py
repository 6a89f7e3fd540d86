"""Crops faces into an embedder's input tensor and normalises its output: launches face_crop.cu and unit.cu."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightd.engines.cuda.launch.device import Buffer, Device, Grid, Kernels, Staging, blocks, precision
from sightd.engines.cuda.launch.heads import DeviceTensor
from sightd.engines.cuda.launch.layout import CROP, record
from sightd.engines.cuda.launch.picture import DevicePicture
from sightd.engines.cuda.launch.preprocess import PIXELS_PER_THREAD, image_kernel, input_layout
from sightd.engines.geometry import ARCFACE, inverse, similarity
from sightd.engines.model import InputSpec

CROP_BLOCK: Grid = (28, 8, 1)
"""28 threads write the 112 pixels of a row."""


class FaceCrop:
    """Crops up to `max_batch` faces from any images into one tensor `spec.shape(n)` of `dtype` (112 x 112 for SFace);
    see `Preprocess`.

    Belongs to one GPU pipeline: the stream must be synchronised between two calls of `launch`. `close` is idempotent.
    """

    def __init__(self, device: Device, kernels: Kernels, spec: InputSpec, max_batch: int, dtype: np.dtype[Any]) -> None:
        self._spec, self._dtype = spec, dtype
        self._template = ARCFACE * [spec.width / 112, spec.height / 112]
        self._kernel = kernels.function("face_crop", image_kernel(dtype, "face_crop"))
        self._crops = Staging(device, CROP, max_batch)
        self._layout = input_layout(spec, dtype).tobytes()

    def launch(self, faces: Sequence[tuple[DevicePicture, NDArray[np.floating]]], tensor: Buffer, stream: Any) -> None:
        """Crops faces, each given by its image and its five landmarks [5, 2] in source pixels. Raises ValueError if
        landmarks coincide or the tensor is too small.

        Images and tensor must stay until the stream is done.
        """
        spec = self._spec
        least = len(faces) * 3 * spec.width * spec.height * self._dtype.itemsize
        if tensor.nbytes < least:
            raise ValueError(f"a batch of {len(faces)} needs {least} bytes, the tensor has {tensor.nbytes}")
        if not faces:
            return
        structs = [
            record(CROP, source=picture.record(), transform=inverse(similarity(points, self._template)).ravel())
            for picture, points in faces
        ]
        grid = (blocks(spec.width, CROP_BLOCK[0] * PIXELS_PER_THREAD), blocks(spec.height, CROP_BLOCK[1]), len(faces))
        crops = self._crops.send(structs, stream)
        self._kernel.launch(grid, CROP_BLOCK, crops, tensor, self._layout, stream=stream)

    def close(self) -> None:
        self._crops.close()


UNIT_BLOCK: Grid = (128, 1, 1)
"""The kernel requires exactly this number of threads."""


def to_unit(kernels: Kernels, rows: DeviceTensor, count: int, into: Buffer, stream: Any) -> None:
    """Divides the first `count` rows of a tensor [n, d], float32 or float16, by their lengths and writes them as
    float32 [count, d] to `into`. Raises ValueError if that buffer is too small."""
    _, columns = rows.shape
    if into.nbytes < 4 * count * columns:
        raise ValueError(f"{count} rows of {columns} numbers require {4 * count * columns} bytes, not {into.nbytes}")
    kernel = kernels.function("unit", precision(rows.dtype, "unit"))
    kernel.launch((count, 1, 1), UNIT_BLOCK, np.uint64(rows.address), into, np.int32(columns), stream=stream)
