"""Crops faces from device images into an embedder's input tensor: launches face_crop.cu."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightd.engines.cuda.launch.interfaces import Buffer, Device, Grid, Kernels, blocks, precision
from sightd.engines.cuda.launch.layout import CROP, record
from sightd.engines.cuda.launch.picture import DevicePicture
from sightd.engines.cuda.launch.preprocess import PIXELS_PER_THREAD, input_layout
from sightd.engines.cuda.launch.staging import Staging
from sightd.engines.similarity import ARCFACE, inverse, similarity
from sightd.engines.spec import InputSpec

BLOCK: Grid = (28, 8, 1)
"""28 threads write the 112 pixels of a row."""


class FaceCrop:
    """Crops up to `max_batch` faces from any images into one tensor [n, 3, spec.height, spec.width] (112 x 112 for
    SFace).

    Belongs to one GPU pipeline: the stream must be synchronised between two calls of `launch`. `close` is idempotent.
    """

    def __init__(self, device: Device, kernels: Kernels, spec: InputSpec, max_batch: int, dtype: np.dtype[Any]) -> None:
        self._spec, self._dtype = spec, dtype
        self._template = ARCFACE * [spec.width / 112, spec.height / 112]
        self._kernel = kernels.function("face_crop", precision(dtype, "face_crop"))
        self._crops = Staging(device, CROP, max_batch)
        self._layout = input_layout(spec).tobytes()

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
        grid = (blocks(spec.width, BLOCK[0] * PIXELS_PER_THREAD), blocks(spec.height, BLOCK[1]), len(faces))
        crops = self._crops.send(structs, stream)
        self._kernel.launch(grid, BLOCK, crops, tensor, self._layout, stream=stream)

    def close(self) -> None:
        self._crops.close()
