"""From a frame and what was found on it to the picture that viewers see."""

from __future__ import annotations

import cv2
import numpy as np

from daemon.config.model import Render
from daemon.render.canvas import OutputCanvas
from daemon.render.measures import Measures
from daemon.render.overlay import Overlay
from daemon.render.stamps import Stamps
from daemon.render.status import Status
from plugins.types import Frame, Image, Picture, Results


class Renderer:
    """Draws one camera's output. Used by one thread; a camera with other options gets a new one.

    The canvas that `render` gives, and its image, are the renderer's own and hold until the next call: encode or
    copy the image before that. The frame's picture is copied, never written into.
    """

    def __init__(self, title: str, options: Render, max_height: int | None = None) -> None:
        self._options = options
        self._max_height = max_height
        self._overlay = Overlay(options)
        self._status = Status(title)
        self._buffer: Image = np.empty((0, 0, 3), np.uint8)
        self._stamps = Stamps(Measures.of(0, 0))

    def render(self, frame: Frame, results: Results, *, fps: float | None) -> OutputCanvas:
        """The frame (or the `Picture` that replaces it) with everything drawn; plug-ins may go on drawing on it.

        The image is BGR uint8 of even width and height, `output_size` of the frame's.
        """
        size = self.size_of(frame)
        if self._buffer.shape[1::-1] != size:
            self._buffer = np.empty((size[1], size[0], 3), np.uint8)
            self._stamps = Stamps(Measures.of(*size))
        picture = results.get(Picture)
        fill(self._buffer, frame.host() if picture is None else picture.image)
        canvas = OutputCanvas(self._buffer, size[1] / frame.height, self._stamps)
        if self._options.status:
            canvas.keep_free(self._status.prepare(canvas, frame.wall_time, fps))
        self._overlay.draw(canvas, frame, results)
        if self._options.status:
            self._status.draw(canvas)
        return canvas

    def size_of(self, frame: Frame) -> tuple[int, int]:
        """Width and height of the picture that `render` makes of this frame."""
        return output_size(frame.width, frame.height, self._max_height)


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
    method = cv2.INTER_AREA if whole or ratio > 2 else cv2.INTER_LINEAR
    cv2.resize(source, (width, height), dst=target, interpolation=method)
