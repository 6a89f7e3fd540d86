"""Face embedding on one GPU: faces are cropped there, and crops and embeddings are downloaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightd.engines.cuda.gpus import Gpu
from sightd.engines.cuda.image import DeviceImage, Image, PictureUpload
from sightd.engines.cuda.launch.faces import FaceCrop, to_unit
from sightd.engines.cuda.launch.heads import DeviceTensor
from sightd.engines.cuda.launch.picture import DevicePicture
from sightd.engines.errors import EngineError
from sightd.engines.model import ColourOrder, Model
from sightd.engines.preprocess import affine
from sightd.engines.session import DeviceOutput, DeviceSession

LARGEST_BATCH = 16
"""Maximum number of faces per run; more are split into several runs."""


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """crops uint8 [n, height, width, 3] BGR, aligned · embeddings float32 [n, d] of unit length."""

    crops: NDArray[np.uint8]
    embeddings: NDArray[np.float32]


class FacePipeline:
    """GPU pipeline for face embedding: a stream with all memory for one batch at a time. Use from one thread; `close`
    is idempotent.

    The session remains owned by the caller and must be closed later.
    """

    def __init__(self, gpu: Gpu, session: DeviceSession, model: Model) -> None:
        """Raises EngineError if a kernel does not compile or there is not enough memory."""
        spec = model.input
        self._session, self._spec = session, spec
        self._dtype = session.inputs[spec.tensor].dtype
        self._most = min(session.largest_batch, LARGEST_BATCH)
        self._shape = spec.shape(1)[1:]
        with ExitStack() as undo:
            self._device, self._kernels = gpu.device, gpu.kernels
            self._stream = gpu.device.stream()
            undo.callback(self._stream.close)
            self._upload = PictureUpload(gpu.device)
            undo.callback(self._upload.close)
            self._tensor = gpu.device.allocate(self._most * int(np.prod(self._shape)) * self._dtype.itemsize)
            undo.callback(self._tensor.free)
            self._crop = FaceCrop(gpu.device, gpu.kernels, spec, self._most, self._dtype)
            undo.callback(self._crop.close)
            self._owned = undo.pop_all()

    def embed(
        self, images: Sequence[Image | DeviceImage], faces: Sequence[tuple[int, NDArray[np.floating]]]
    ) -> Embedded:
        """Embeds faces. Each is given by the index of its image in `images` and its five landmarks [5, 2] in that
        image's pixels. Images are BGR uint8 [h, w, 3], or already on this GPU; they may be modified or freed once this
        returns. Without faces, returns arrays without rows; the width of the embeddings is then 0.

        Raises ValueError if the landmarks of a face coincide, and EngineError if a run fails or the model does not have
        exactly one output [n, d].
        """
        if not faces:
            none = np.empty((0, self._spec.height, self._spec.width, 3), np.uint8)
            return Embedded(none, np.empty((0, 0), np.float32))
        try:
            pictures = self._upload.send(images, self._stream)
            parts = [
                self._batch([(pictures[i], points) for i, points in faces[start : start + self._most]])
                for start in range(0, len(faces), self._most)
            ]
        except BaseException:
            self._stream.synchronize()  # copies in progress still use the page-locked memory
            raise
        return Embedded(np.concatenate([one.crops for one in parts]), np.concatenate([one.embeddings for one in parts]))

    def close(self) -> None:
        self._owned.close()

    def _batch(self, faces: Sequence[tuple[DevicePicture, NDArray[np.floating]]]) -> Embedded:
        self._crop.launch(faces, self._tensor, self._stream)
        fed = np.empty((len(faces), *self._shape), self._dtype)
        with self._session.run_device({self._spec.tensor: self._tensor}, len(faces), self._stream) as run:
            self._tensor.download(fed, self._stream)
            embeddings = self._fetched(run.outputs, len(faces))
        return Embedded(self._pictures(fed), embeddings)

    def _fetched(self, outputs: Mapping[str, DeviceOutput], faces: int) -> NDArray[np.float32]:
        """Returns the model's only output on the host, normalised to unit length. Waits for the stream."""
        told = ", ".join(f"{name} {list(one.shape)}" for name, one in outputs.items())
        if len(outputs) != 1 or any(len(one.shape) != 2 or one.shape[0] < faces for one in outputs.values()):
            raise EngineError(
                f"a face embedder has one output [batch, d], but this model has {told}: choose another model"
            )
        (output,) = outputs.values()
        host = np.empty((faces, output.shape[1]), np.float32)
        rows = DeviceTensor(output.buffer.address, output.shape, output.dtype)
        units = self._device.allocate(host.nbytes)
        try:
            to_unit(self._kernels, rows, faces, units, self._stream)
            units.download(host, self._stream)
            self._stream.synchronize()
        finally:
            units.free()
        return host

    def _pictures(self, fed: NDArray[Any]) -> NDArray[np.uint8]:
        """Converts the model's input back to BGR images by inverting scale, mean and standard deviation."""
        factor, summand = affine(self._spec, self._dtype)
        numbers = (fed if self._spec.nhwc else fed.transpose(0, 2, 3, 1)).astype(np.float32)
        pixels = np.clip(np.rint((numbers - summand) / factor), 0, 255).astype(np.uint8)
        return np.ascontiguousarray(pixels[..., ::-1] if self._spec.colour is ColourOrder.RGB else pixels)
