"""Object detection entirely on one GPU: images are uploaded once, and only boxes are downloaded."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightd.engines.cuda.gpus import Gpu
from sightd.engines.cuda.image import DeviceImage, Image, PictureUpload, batches
from sightd.engines.cuda.launch.detect import BoxSelection, Detect, RawBoxes
from sightd.engines.cuda.launch.heads import DeviceTensor
from sightd.engines.cuda.launch.preprocess import Preprocess
from sightd.engines.model import Model
from sightd.engines.preprocess import Geometry, input_sizes
from sightd.engines.session import DeviceSession

LARGEST_BATCH = 16
"""Maximum number of images per run; larger batches are split."""


@dataclass(frozen=True, slots=True, eq=False)
class HeadParameters:
    """How a detector's outputs are decoded: the minimum score per class, float32 [c], and which boxes are returned."""

    min_score: NDArray[np.float32]
    choice: BoxSelection


@dataclass(frozen=True, slots=True)
class RawDetections:
    """Detections in one image, in its own pixels, and the geometry of the image in the model's input."""

    found: RawBoxes
    geometry: Geometry


class DetectionPipeline:
    """GPU pipeline for detection: a stream with all memory for one batch at a time. Use from one thread; `close` is
    idempotent.

    For each image there is one upload of its pixels; preprocessing, inference, decoding and suppression run on the
    device; then one download of its boxes. A second input with the size of the first (`InputSpec.size_tensor`) is
    uploaded once. The session remains owned by the caller and must be closed later.
    """

    def __init__(self, gpu: Gpu, session: DeviceSession, model: Model, reading: HeadParameters) -> None:
        """Raises EngineError if a kernel does not compile or there is not enough memory."""
        spec = model.input
        dtype = session.inputs[spec.tensor].dtype
        self._session = session
        self._most = min(session.largest_batch, LARGEST_BATCH)
        with ExitStack() as undo:
            self._stream = gpu.device.stream()
            undo.callback(self._stream.close)
            self._upload = PictureUpload(gpu.device)
            undo.callback(self._upload.close)
            self._tensor = gpu.device.allocate(self._most * 3 * spec.width * spec.height * dtype.itemsize)
            undo.callback(self._tensor.free)
            self._inputs = {spec.tensor: self._tensor}
            if spec.size_tensor:
                sizes = input_sizes(spec, self._most, session.inputs[spec.size_tensor].dtype)
                buffer = self._inputs[spec.size_tensor] = gpu.device.allocate(sizes.nbytes)
                undo.callback(buffer.free)
                buffer.upload(sizes, self._stream)
                self._stream.synchronize()
            self._preprocess = Preprocess(gpu.device, gpu.kernels, spec, self._most, dtype)
            undo.callback(self._preprocess.close)
            self._detect = Detect(
                gpu.device,
                gpu.kernels,
                model.head,
                spec,
                reading.min_score,
                reading.choice,
                self._most,
                ignored=model.ignored_columns,
            )
            undo.callback(self._detect.close)
            self._owned = undo.pop_all()

    def find(self, images: Sequence[Image | DeviceImage]) -> list[RawDetections]:
        """Detects objects in BGR uint8 [h, w, 3] images of any sizes and number; images that already are on this GPU
        are accepted too. The images may be modified or freed once this returns.

        Raises HeadMismatchError if the model's outputs do not match its head, another EngineError if a run fails, and
        ValueError if an image has another form.
        """
        found: list[RawDetections] = []
        try:
            for batch in batches(images, self._most):
                found += self._find(batch)
        except BaseException:
            self._stream.synchronize()  # copies in progress still use the page-locked memory
            raise
        return found

    def close(self) -> None:
        self._owned.close()

    def _find(self, images: Sequence[Image | DeviceImage]) -> list[RawDetections]:
        pictures = self._upload.send(images, self._stream)
        geometries = self._preprocess.launch(pictures, self._tensor, self._stream)
        with self._session.run_device(self._inputs, len(images), self._stream) as run:
            outputs = {
                name: DeviceTensor(tensor.buffer.address, tensor.shape, tensor.dtype)
                for name, tensor in run.outputs.items()
            }
            boxes = self._detect.run(outputs, geometries, self._stream)
        return [RawDetections(*pair) for pair in zip(boxes, geometries, strict=True)]
