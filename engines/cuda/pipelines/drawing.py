"""Draws on images on a GPU: resizes them to the output size and overlays marks in the encoder's colour format."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from sightd.engines.cuda.gpus import Gpu
from sightd.engines.cuda.image import DeviceImage, Downloads
from sightd.engines.cuda.launch.drawing import Hide, Mark, OverlayKernel, Point
from sightd.engines.cuda.launch.resize import Resize


class FrameDrawing:
    """Creates the images of one output on one GPU. Use from one thread; `close` is idempotent."""

    def __init__(self, gpu: Gpu) -> None:
        """Raises EngineError if a kernel does not compile or there is not enough memory."""
        self._device = gpu.device
        with ExitStack() as undo:
            self._stream = gpu.device.stream()
            undo.callback(self._stream.close)
            self._downloads = Downloads(gpu.device)
            undo.callback(self._downloads.close)
            self._resize = Resize(gpu.device, gpu.kernels, 1)
            undo.callback(self._resize.close)
            self._hide = Hide(gpu.device, gpu.kernels, 1)
            undo.callback(self._hide.close)
            self._overlay = OverlayKernel(gpu.device, gpu.kernels, 1)
            undo.callback(self._overlay.close)
            self._owned = undo.pop_all()

    @property
    def ordinal(self) -> int:
        """The GPU's ordinal. Only images on this GPU can be drawn on."""
        return self._device.ordinal

    def draw(
        self,
        image: DeviceImage,
        width: int,
        height: int,
        marks: Sequence[Mark],
        hidden: Sequence[Point] = (),
        cell: int = 16,
    ) -> DeviceImage:
        """Returns a new image of `width` x `height` (both even), NV12 in BT.601 limited range, complete on return.
        Regions in `hidden` become mosaics with cells of `cell` pixels (even) before marks are drawn over them.

        Resizing is bilinear, so shrinking to less than half the size skips pixels. Raises ValueError for an image of
        another GPU, and EngineErrors if the GPU fails.
        """
        if image.ordinal != self.ordinal:
            raise ValueError(f"the image is on cuda:{image.ordinal}, but drawing happens on cuda:{self.ordinal}")
        drawn = DeviceImage.unwritten(self._device, width, height, self._downloads)
        picture = drawn.picture
        try:
            self._resize.launch([(image.picture, picture)], self._stream)
            self._hide.launch([(picture, hidden)], cell, self._stream)
            self._overlay.launch([(picture, marks)], self._stream)
        finally:
            self._stream.synchronize()
        return drawn

    def close(self) -> None:
        """Frees everything. Images created here can no longer be downloaded."""
        self._owned.close()
