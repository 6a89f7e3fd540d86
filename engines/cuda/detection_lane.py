"""Detection from end to end on one GPU: pictures go up once, boxes come down, all between stays on the device."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightd.engines.cuda.device_image import DeviceImage
from sightd.engines.cuda.gpus import Gpu
from sightd.engines.cuda.launch.detect import Choice, Detect, Found
from sightd.engines.cuda.launch.heads import DeviceTensor
from sightd.engines.cuda.launch.preprocess import Preprocess
from sightd.engines.cuda.upload import Image, PictureUpload, batches
from sightd.engines.device_session import DeviceSession
from sightd.engines.model import Model
from sightd.engines.preprocess import Geometry

LARGEST_BATCH = 16
"""Pictures of one run; more are done in several."""


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """How a detector's outputs are read: the least score of each class, float32 [c], and which boxes are given."""

    min_score: NDArray[np.float32]
    choice: Choice


@dataclass(frozen=True, slots=True)
class Placed:
    """What was found on one picture, in its own pixels, and how it lay in the network's input."""

    found: Found
    geometry: Geometry


class DetectionLane:
    """A stream with all memory that one batch at a time needs: one thread; `close` twice is safe.

    On each picture: one upload of its bytes, pre-processing, network, decoding and suppression on the device, one
    download of its boxes. The session stays the caller's and is closed later.
    """

    def __init__(self, gpu: Gpu, session: DeviceSession, model: Model, reading: Reading) -> None:
        """EngineError where a kernel does not compile or there is no memory."""
        spec = model.input
        dtype = session.inputs[spec.tensor].dtype
        self._session, self._input = session, spec.tensor
        self._most = min(session.largest_batch, LARGEST_BATCH)
        with ExitStack() as undo:
            self._stream = gpu.device.stream()
            undo.callback(self._stream.close)
            self._upload = PictureUpload(gpu.device)
            undo.callback(self._upload.close)
            self._tensor = gpu.device.allocate(self._most * 3 * spec.width * spec.height * dtype.itemsize)
            undo.callback(self._tensor.free)
            self._preprocess = Preprocess(gpu.device, gpu.kernels, spec, self._most, dtype)
            undo.callback(self._preprocess.close)
            self._detect = Detect(
                gpu.device, gpu.kernels, model.head, spec, reading.min_score, reading.choice, self._most
            )
            undo.callback(self._detect.close)
            self._owned = undo.pop_all()

    def find(self, images: Sequence[Image | DeviceImage]) -> list[Placed]:
        """BGR uint8 [h, w, 3] pictures of any sizes and number, and such as are on this GPU already; they are the
        caller's again when it returns.

        HeadMismatchError where the network's outputs are not of its head's form; other EngineErrors where a run fails;
        ValueError for what is no such picture.
        """
        found: list[Placed] = []
        try:
            for batch in batches(images, self._most):
                found += self._find(batch)
        except BaseException:
            self._stream.synchronize()  # copies under way still use the page-locked memory
            raise
        return found

    def close(self) -> None:
        self._owned.close()

    def _find(self, images: Sequence[Image | DeviceImage]) -> list[Placed]:
        pictures = self._upload.send(images, self._stream)
        geometries = self._preprocess.launch(pictures, self._tensor, self._stream)
        with self._session.run_device({self._input: self._tensor}, len(images), self._stream) as run:
            outputs = {
                name: DeviceTensor(tensor.buffer.address, tensor.shape, tensor.dtype)
                for name, tensor in run.outputs.items()
            }
            boxes = self._detect.run(outputs, geometries, self._stream)
        return [Placed(*pair) for pair in zip(boxes, geometries, strict=True)]
