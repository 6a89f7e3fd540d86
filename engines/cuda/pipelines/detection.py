"""Object detection entirely on one GPU: images are uploaded once, and only boxes are downloaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightd.engines.cuda.driver import CudaDevice
from sightd.engines.cuda.gpus import Gpu
from sightd.engines.cuda.image import DeviceImage, DeviceSheet, Image, PictureUpload, batches
from sightd.engines.cuda.launch.detect import BoxSelection, Detect, RawBoxes
from sightd.engines.cuda.launch.heads import DeviceTensor, Outputs
from sightd.engines.cuda.launch.preprocess import Preprocess
from sightd.engines.cuda.memory import DeviceBuffer, PinnedArray
from sightd.engines.cuda.stream import CudaStream
from sightd.engines.model import Model
from sightd.engines.preprocess import Geometry, input_sizes
from sightd.engines.session import DeviceSession

LARGEST_BATCH = 16
"""Maximum number of images per run; larger batches are split."""


@dataclass(frozen=True, slots=True, eq=False)
class HeadParameters:
    """How a detector's outputs are decoded: the minimum score per class, float32 [c], and which boxes are returned.

    `kept` names outputs that are downloaded as well, for images with boxes: whole, or, if True, only the rows that the
    boxes came from.
    """

    min_score: NDArray[np.float32]
    choice: BoxSelection
    kept: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RawDetections:
    """Detections in one image, in its own pixels, and the geometry of the image in the model's input. `outputs` are
    those of `HeadParameters.kept`, as new arrays [1, …]; empty if there are no boxes."""

    found: RawBoxes
    geometry: Geometry
    outputs: Mapping[str, NDArray[Any]] = field(default_factory=dict)


class OutputDownload:
    """Downloads parts of an output tensor, which belongs to a session. Use from one thread; `close` is idempotent."""

    def __init__(self, device: CudaDevice) -> None:
        self._device = device
        self._there: DeviceBuffer | None = None
        self._here: PinnedArray | None = None

    def rows(
        self, tensor: DeviceTensor, picture: int, rows: NDArray[np.int64] | None, stream: CudaStream
    ) -> NDArray[Any]:
        """Returns the part of an image, a new array [1, …]; of a tensor [batch, n, …] only these rows, or all if None.
        Waits for the stream."""
        size = tensor.dtype.itemsize
        per_picture, shape = int(np.prod(tensor.shape[1:])) * size, tensor.shape[1:]
        begin = tensor.address + picture * per_picture
        parts = [(begin, per_picture)]
        if rows is not None:
            per_row, shape = int(np.prod(tensor.shape[2:])) * size, (len(rows), *tensor.shape[2:])
            parts = [(begin + row * per_row, per_row) for row in rows.tolist()]
        there, here = self._room(sum(length for _, length in parts))
        offset = 0
        for address, length in parts:
            there.copy_from_address(address, length, offset, stream)
            offset += length
        there.download(here.array[:offset], stream)
        stream.synchronize()
        return np.frombuffer(here.array[:offset].tobytes(), tensor.dtype).reshape(1, *shape)

    def close(self) -> None:
        for memory in (self._there, self._here):
            if memory is not None:
                memory.free()

    def _room(self, nbytes: int) -> tuple[DeviceBuffer, PinnedArray]:
        if self._there is None or self._here is None or self._there.nbytes < nbytes:
            self.close()
            self._there, self._here = self._device.allocate(nbytes), self._device.pinned((nbytes,), np.uint8)
        return self._there, self._here


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
                ignored=model.extra_columns,
            )
            undo.callback(self._detect.close)
            self._kept = {name: (by_row, OutputDownload(gpu.device)) for name, by_row in reading.kept.items()}
            for _, download in self._kept.values():
                undo.callback(download.close)
            self._owned = undo.pop_all()

    def find(self, images: Sequence[Image | DeviceImage | DeviceSheet]) -> list[RawDetections]:
        """Detects objects in BGR uint8 [h, w, 3] images of any sizes and number; images that already are on this GPU,
        and sheets of them that have the size of the model's input, are accepted too. The images may be modified or
        freed once this returns.

        Raises HeadMismatchError if the model's outputs do not match its head, another EngineError if a run fails, and
        ValueError if an image has another form, or a sheet another size.
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

    def _find(self, images: Sequence[Image | DeviceImage | DeviceSheet]) -> list[RawDetections]:
        sent = self._upload.send([one.image if isinstance(one, DeviceSheet) else one for one in images], self._stream)
        pictures = [
            one.picture if isinstance(one, DeviceSheet) else there for one, there in zip(images, sent, strict=True)
        ]
        geometries = self._preprocess.launch(pictures, self._tensor, self._stream)
        with self._session.run_device(self._inputs, len(images), self._stream) as run:
            outputs = {
                name: DeviceTensor(tensor.buffer.address, tensor.shape, tensor.dtype)
                for name, tensor in run.outputs.items()
            }
            boxes = self._detect.run(outputs, geometries, self._stream)
            kept = [self._kept_of(outputs, picture, found) for picture, found in enumerate(boxes)]
        return [RawDetections(*parts) for parts in zip(boxes, geometries, kept, strict=True)]

    def _kept_of(self, outputs: Outputs, picture: int, found: RawBoxes) -> dict[str, NDArray[Any]]:
        if not len(found.scores):
            return {}
        return {
            name: download.rows(outputs[name], picture, found.rows if by_row else None, self._stream)
            for name, (by_row, download) in self._kept.items()
        }
