"""Drawing on pictures that lie on a GPU: resized to what is shown, in the encoder's colours, with marks laid over."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from sightd.engines.cuda.device_image import DeviceImage, Downloads
from sightd.engines.cuda.gpus import Gpu
from sightd.engines.cuda.launch.hide import Hide
from sightd.engines.cuda.launch.marks import Mark, Place
from sightd.engines.cuda.launch.overlay import Overlay
from sightd.engines.cuda.launch.resize import Resize


class FrameDrawing:
    """Makes the pictures of one output on one GPU. One thread; `close` twice is safe."""

    def __init__(self, gpu: Gpu) -> None:
        """EngineError where a kernel does not compile or there is no memory."""
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
            self._overlay = Overlay(gpu.device, gpu.kernels, 1)
            undo.callback(self._overlay.close)
            self._owned = undo.pop_all()

    @property
    def ordinal(self) -> int:
        """The GPU's: its pictures alone can be drawn on."""
        return self._device.ordinal

    def draw(
        self,
        image: DeviceImage,
        width: int,
        height: int,
        marks: Sequence[Mark],
        hidden: Sequence[Place] = (),
        cell: int = 16,
    ) -> DeviceImage:
        """A new picture of `width` x `height` (both even), NV12 in BT.601 and limited range, complete when it returns.
        Regions `hidden` become mosaics of `cell` pixels (even) before marks are laid over them.

        Resizing is bilinear: a picture more than twice as large loses pixels. ValueError for a picture of another GPU;
        EngineErrors where the GPU refuses.
        """
        if image.ordinal != self.ordinal:
            raise ValueError(f"the picture lies on cuda:{image.ordinal}, and cuda:{self.ordinal} is drawn on")
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
        """After this no picture of its own can be downloaded any more."""
        self._owned.close()
