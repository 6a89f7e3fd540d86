"""Style transfer on one GPU. Full-size frames and stylised images stay there; only images of the model's size go
through the host, where temporal smoothing is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightd.engines.cuda.gpus import Gpu
from sightd.engines.cuda.image import DeviceImage, Downloads
from sightd.engines.cuda.launch.heads import DeviceTensor
from sightd.engines.cuda.launch.picture import DevicePicture
from sightd.engines.cuda.launch.preprocess import Preprocess
from sightd.engines.cuda.launch.resize import Resize
from sightd.engines.cuda.launch.style import Finish, Paint, Style
from sightd.engines.errors import EngineError
from sightd.engines.model import Model
from sightd.engines.session import DeviceSession

LARGEST_BATCH = 8
"""Maximum number of images per run; more are split into several runs."""

Pixels = NDArray[np.uint8]
Steady = Callable[[int, Pixels, Pixels], NDArray[np.float32]]
"""Takes (index of the image, the image, its stylised version: BGR uint8 [h, w, 3] of the model's size). Returns the
stylised version as a linear function of the image's grey: float32 [h, w, 6], slopes of blue, green and red, then their
offsets, in 0-255."""


@dataclass(frozen=True, slots=True)
class StyleInput:
    """The model's input in addition to the image, [batch, styles], and how its results are finished."""

    tensor: str
    finish: Finish


class StylePipeline:
    """GPU pipeline for style transfer: a stream with all memory for one batch at a time. Use from one thread; `close`
    is idempotent.

    The session remains owned by the caller and must be closed later. Results cannot be downloaded after the pipeline is
    closed.
    """

    def __init__(self, gpu: Gpu, session: DeviceSession, model: Model, style: StyleInput) -> None:
        """Raises EngineError if a kernel does not compile or there is not enough memory."""
        spec = model.input
        self._session, self._spec, self._style = session, spec, style
        self._device = gpu.device
        self._most = most = min(session.largest_batch, LARGEST_BATCH)
        dtype = session.inputs[spec.tensor].dtype
        pixels = most * spec.width * spec.height
        with ExitStack() as undo:

            def memory(nbytes: int) -> Any:
                buffer = gpu.device.allocate(nbytes)
                undo.callback(buffer.free)
                return buffer

            def launcher(made: Any) -> Any:
                undo.callback(made.close)
                return made

            self._stream = launcher(gpu.device.stream())
            self._downloads: Downloads = launcher(Downloads(gpu.device))
            self._small, self._painted = memory(3 * pixels), memory(3 * pixels)
            self._tensor = memory(3 * pixels * dtype.itemsize)
            self._planes = memory(6 * 4 * pixels)
            weights = session.inputs[style.tensor]
            self._weights_dtype = weights.dtype
            self._weights = memory(most * int(weights.shape[-1] or 1) * weights.dtype.itemsize)
            self._shrink: Resize = launcher(Resize(gpu.device, gpu.kernels, most, means=True))
            self._preprocess: Preprocess = launcher(Preprocess(gpu.device, gpu.kernels, spec, most, dtype))
            self._output: Style = launcher(Style(gpu.device, gpu.kernels, most, spec.colour))
            self._paint: Paint = launcher(Paint(gpu.device, gpu.kernels, most))
            self._owned = undo.pop_all()

    def takes(self, image: DeviceImage) -> bool:
        """Returns whether the image is on this GPU, at least as large as the model's input, and has even sides."""
        picture = image.picture
        large = picture.width >= self._spec.width and picture.height >= self._spec.height
        even = picture.width % 2 == 0 and picture.height % 2 == 0
        return large and even and image.ordinal == self._device.ordinal

    def paint(self, images: Sequence[DeviceImage], weights: NDArray[np.float32], steady: Steady) -> list[DeviceImage]:
        """Returns a stylised version of each image, of the same size and complete on return. `takes` must be true for
        all images. `weights` is [n, styles]. `steady` is called once per image, in order.

        Raises EngineError if a run fails or the model's output is not an image of its input size.
        """
        painted: list[DeviceImage] = []
        try:
            for first in range(0, len(images), self._most):
                batch = slice(first, first + self._most)
                painted += self._batch(images[batch], weights[batch], first, steady)
        except BaseException:
            self._stream.synchronize()  # copies in progress still use the host's memory
            raise
        return painted

    def close(self) -> None:
        self._owned.close()

    def _batch(
        self, images: Sequence[DeviceImage], weights: NDArray[np.float32], first: int, steady: Steady
    ) -> list[DeviceImage]:
        count, (width, height) = len(images), (self._spec.width, self._spec.height)
        small, paintings = (self._pictures(memory.address, count) for memory in (self._small, self._painted))
        self._shrink.launch([(image.picture, to) for image, to in zip(images, small, strict=True)], self._stream)
        self._preprocess.launch(small, self._tensor, self._stream)
        wanted = np.ascontiguousarray(weights, self._weights_dtype)
        self._weights.upload(wanted, self._stream)
        inputs = {self._spec.tensor: self._tensor, self._style.tensor: self._weights}
        with self._session.run_device(inputs, count, self._stream) as run:
            outputs = [DeviceTensor(one.buffer.address, one.shape, one.dtype) for one in run.outputs.values()]
            if [one.shape[1:] for one in outputs] != [(3, height, width)]:
                told = ", ".join(str(list(one.shape)) for one in outputs)
                raise EngineError(f"a style model produces one image of {width}x{height}, but this one has {told}")
            self._output.launch(outputs[0], paintings, self._stream)
            host = np.empty((2, count, height, width, 3), np.uint8)
            for memory, to in zip((self._small, self._painted), host, strict=True):
                memory.download(to, self._stream)
            self._stream.synchronize()  # before another run uses the outputs
        planes = np.stack([steady(first + i, host[0, i], host[1, i]) for i in range(count)])
        self._planes.upload(planes, self._stream)
        made = [
            DeviceImage.unwritten(self._device, image.picture.width, image.picture.height, self._downloads)
            for image in images
        ]
        pairs = [(image.picture, to.picture) for image, to in zip(images, made, strict=True)]
        self._paint.launch(pairs, self._planes.address, (width, height), self._style.finish, self._stream)
        self._stream.synchronize()
        return made

    def _pictures(self, address: int, count: int) -> list[DevicePicture]:
        width, height = self._spec.width, self._spec.height
        return [DevicePicture(address + 3 * i * width * height, 3 * width, width, height) for i in range(count)]
