"""From a frame and what was found on it to the picture that viewers see."""

from __future__ import annotations

import cv2
import numpy as np

from sightd.daemon.config.model import Render
from sightd.daemon.render.canvas import OutputCanvas
from sightd.daemon.render.device_surface import DeviceSurface
from sightd.daemon.render.hiding import hide
from sightd.daemon.render.measures import Measures
from sightd.daemon.render.overlay import Overlay
from sightd.daemon.render.stamps import Stamps
from sightd.daemon.render.status import Status
from sightd.daemon.render.surface import HostSurface, Surface
from sightd.engines.cuda.frame_drawing import FrameDrawing
from sightd.plugins.types import Frame, Hidden, Image, Picture, Results

_HALVES = 2
"""How many times as large a picture may be for linear resizing not to skip pixels."""


class Renderer:
    """Draws one camera's output. Used by one thread; a camera with other options gets a new one.

    The canvas that `render` gives, and its image, are the renderer's own and hold until the next call: encode or
    copy the image before that. The frame's picture is copied, never written into.

    Frames that lie on the GPU of `drawing` are drawn on there; `close` closes it.
    """

    def __init__(
        self, title: str, options: Render, max_height: int | None = None, drawing: FrameDrawing | None = None
    ) -> None:
        self._options = options
        self._max_height = max_height
        self._drawing = drawing
        self._overlay = Overlay(options)
        self._status = Status(title, late_only=not options.status)
        self._size = (0, 0)
        self._buffer: Image = np.empty((0, 0, 3), np.uint8)
        self._stamps = Stamps(Measures.of(0, 0))

    @property
    def draws_on_gpu(self) -> bool:
        """Whether frames that lie on a GPU are drawn on there."""
        return self._drawing is not None

    def render(
        self,
        frame: Frame,
        results: Results,
        *,
        fps: float | None,
        late_by: float | None = None,
        on_host: bool = False,
    ) -> OutputCanvas:
        """The frame (or the `Picture` that replaces it) with everything drawn; plug-ins may go on drawing on it.

        Its picture has even width and height, `output_size` of the frame's. `late_by`: the frame is that many s
        late, which the picture says even if the status line is switched off. `on_host`: drawn by the CPU, wherever the
        frame lies. EngineError where a GPU refuses, here or when the canvas is asked for its picture.
        """
        size = self.size_of(frame)
        if self._size != size:
            self._size, self._stamps = size, Stamps(Measures.of(*size))
        surface, scale = self._surface(frame, results.get(Picture), on_host), size[1] / frame.height
        if (hidden := results.get(Hidden)) is not None:
            hide(surface, hidden.boxes * np.float32(scale))
        canvas = OutputCanvas(surface, scale, self._stamps)
        status = self._options.status or late_by is not None
        if status:
            canvas.keep_free(self._status.prepare(canvas, frame.wall_time, fps, late_by))
        self._overlay.draw(canvas, frame, results)
        if status:
            self._status.draw(canvas)
        return canvas

    def size_of(self, frame: Frame) -> tuple[int, int]:
        """Width and height of the picture that `render` makes of this frame."""
        return output_size(frame.width, frame.height, self._max_height)

    def close(self) -> None:
        """After the last picture was shown; twice is safe."""
        if self._drawing is not None:
            self._drawing.close()

    def _surface(self, frame: Frame, replaced: Picture | None, on_host: bool) -> Surface:
        if self._drawing is not None and not on_host:
            image = (frame if replaced is None else replaced).device(self._drawing.ordinal)
            if image is not None and image.picture.height <= _HALVES * self._size[1]:
                return DeviceSurface(image, self._size, self._drawing, self._stamps)
        if self._buffer.shape[1::-1] != self._size:
            self._buffer = np.empty((self._size[1], self._size[0], 3), np.uint8)
        fill(self._buffer, frame.host() if replaced is None else replaced.image)
        return HostSurface(self._buffer, self._stamps)


def output_size(width: int, height: int, max_height: int | None) -> tuple[int, int]:
    """Width and height of the output: both even, as 4:2:0 video must be, and at most `max_height` lines."""
    if max_height is not None and height > max_height:
        width, height = round(width * max_height / height), max_height
    return max(2, width - width % 2), max(2, height - height % 2)


def fill(target: Image, source: Image) -> None:
    """Copies `source` into `target`; scales it where it is larger by more than the odd row or column that is cut."""
    height, width = target.shape[:2]
    rows, columns = source.shape[:2]
    if rows - height in (0, 1) and columns - width in (0, 1):
        np.copyto(target, source[:height, :width])
        return
    ratio = rows / height
    whole = rows % height == 0 and columns % width == 0
    # Averaging over fractions of pixels costs five times as much as linear and pays only where pixels would be skipped.
    method = cv2.INTER_AREA if whole or ratio > _HALVES else cv2.INTER_LINEAR
    cv2.resize(source, (width, height), dst=target, interpolation=method)
