"""Draws a frame and its results into the image that viewers see; redacts regions with mosaics."""

from __future__ import annotations

import cv2
import numpy as np

from sightd.daemon.config.model import Render
from sightd.daemon.render.canvas import OutputCanvas
from sightd.daemon.render.overlay import Overlay
from sightd.daemon.render.status_line import StatusLine
from sightd.daemon.render.surface import GpuSurface, HostSurface, Rect, Surface
from sightd.daemon.render.text import SpriteCache
from sightd.daemon.render.theme import Layout
from sightd.engines.cuda.pipelines.drawing import FrameDrawing
from sightd.plugins.api import BoolArray, FloatArray, Frame, FrameOverride, Image, PrivacyMask, Results, Tracks
from sightd.plugins.api.shapes import drawn_crop

_TILES = 5
"""Tiles across the shorter side of the largest region: eyes, nose and mouth merge."""
_LEAST = 8
"""Minimum side of a tile in pixels."""
_MOST_REGIONS = 1000
"""Regions of masks on one image; drawing more would take too long."""


def mosaic(surface: Surface, hidden: PrivacyMask) -> None:
    """Redacts regions whose boxes are in pixels of the surface; call it before drawing anything else.

    Of a region with a mask, all tiles are redacted that the mask touches. A coordinate that is not finite redacts the
    whole image, because the intended region is unknown; more than `_MOST_REGIONS` redact the boxes.
    """
    width, height = surface.size
    if not np.isfinite(hidden.boxes).all():
        hidden = PrivacyMask(np.array([[0, 0, width, height]], np.float32))
    boxes = [_region(box, width, height) for box in hidden.boxes.tolist()]
    whole = [region for region in boxes if region]
    if not whole:
        return
    tile = _tile(whole)
    regions: list[Rect] = []
    for box, region, crop in zip(hidden.boxes, boxes, hidden.crops, strict=True):
        if region and crop is not None and crop.size:
            regions += _tiles_of(crop, box, (width, height), tile)
        elif region:
            regions.append(region)
    surface.hide(regions if len(regions) <= max(_MOST_REGIONS, len(whole)) else whole, tile)


def _tiles_of(crop: BoolArray, box: FloatArray, size: tuple[int, int], tile: int) -> list[Rect]:
    """Returns the tiles that a mask touches, those next to each other in a row as one region."""
    drawn = drawn_crop(crop, box, size)
    if drawn is None:
        return []
    height, width = drawn.inside.shape
    before = drawn.top % tile, drawn.left % tile
    after = -(before[0] + height) % tile, -(before[1] + width) % tile
    padded = np.pad(drawn.inside, tuple(zip(before, after, strict=True)))
    touched = padded.reshape(padded.shape[0] // tile, tile, -1, tile).any(axis=(1, 3))
    steps = np.diff(touched.astype(np.int8), axis=1, prepend=0, append=0)
    x, y = drawn.left - before[1], drawn.top - before[0]
    ends = zip(np.argwhere(steps > 0).tolist(), np.argwhere(steps < 0).tolist(), strict=True)
    return [
        (x + begin * tile, y + row * tile, min(x + end * tile, size[0]), min(y + (row + 1) * tile, size[1]))
        for (row, begin), (_, end) in ends
    ]


def _region(box: list[float], width: int, height: int) -> Rect | None:
    """Returns the box, clipped to the image and grown to even coordinates, because 4:2:0 video has one colour for four
    pixels; None if it is outside."""
    left, top = max(0, int(box[0])) & ~1, max(0, int(box[1])) & ~1
    right, bottom = min(width, -2 * int(-box[2] // 2)), min(height, -2 * int(-box[3] // 2))
    return (left, top, right, bottom) if left < right and top < bottom else None


def _tile(regions: list[Rect]) -> int:
    shorter = max(min(right - left, bottom - top) for left, top, right, bottom in regions)
    return max(_LEAST, 2 * round(shorter / _TILES / 2))


_HALVES = 2
"""Largest reduction factor at which linear resizing skips no pixels."""


class Renderer:
    """Draws one camera's output. Used by one thread; a camera with other options gets a new one.

    The canvas that `render` returns, and its image, are the renderer's own and valid until the next call: encode or
    copy the image before that. The frame's image is copied, never modified.

    Frames on the GPU of `drawing` are drawn on there; `close` closes it.
    """

    def __init__(
        self, title: str, options: Render, max_height: int | None = None, drawing: FrameDrawing | None = None
    ) -> None:
        self._options = options
        self._max_height = max_height
        self._drawing = drawing
        self._overlay = Overlay(options)
        self._status = StatusLine(title, late_only=not options.status)
        self._size = (0, 0)
        self._buffer: Image = np.empty((0, 0, 3), np.uint8)
        self._sprites = SpriteCache(Layout.of(0, 0))

    @property
    def draws_on_gpu(self) -> bool:
        """Whether frames on a GPU are drawn on there."""
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
        """Draws everything onto the frame (or the `FrameOverride`); plug-ins may draw more on the canvas.

        Its image has even width and height, `output_size` of the frame's. `late_by`: the frame is that many s late,
        which the image says even if the status line is switched off. `on_host`: draws on the CPU, wherever the frame
        is. Raises EngineError if a GPU fails, here or when the canvas is asked for its image.
        """
        size = self.size_of(frame)
        if self._size != size:
            self._size, self._sprites = size, SpriteCache(Layout.of(*size))
        surface, scale = self._surface(frame, results.get(FrameOverride), on_host), size[1] / frame.height
        if (hidden := results.get(PrivacyMask)) is not None:
            mosaic(surface, PrivacyMask(hidden.boxes * np.float32(scale), hidden.crops))
        canvas = OutputCanvas(surface, scale, self._sprites)
        status = self._options.status or late_by is not None
        if status:
            canvas.keep_free(self._status.prepare(canvas, frame.wall_time, fps, late_by))
        self._overlay.draw(canvas, frame, results)
        if status:
            self._status.draw(canvas)
        return canvas

    def remember(self, tracks: Tracks, at: float) -> None:
        """Adds the tracks of an earlier frame (captured at `at`, s) to the trails, for a single frame that is drawn."""
        self._overlay.remember(tracks, at)

    def size_of(self, frame: Frame) -> tuple[int, int]:
        """Returns width and height of the image that `render` makes of this frame."""
        return output_size(frame.width, frame.height, self._max_height)

    def close(self) -> None:
        """Releases the GPU drawing after the last image was shown. Idempotent."""
        if self._drawing is not None:
            self._drawing.close()

    def _surface(self, frame: Frame, replaced: FrameOverride | None, on_host: bool) -> Surface:
        if self._drawing is not None and not on_host:
            image = (frame if replaced is None else replaced).device(self._drawing.ordinal)
            if image is not None and image.picture.height <= _HALVES * self._size[1]:
                return GpuSurface(image, self._size, self._drawing, self._sprites)
        if self._buffer.shape[1::-1] != self._size:
            self._buffer = np.empty((self._size[1], self._size[0], 3), np.uint8)
        fill(self._buffer, frame.host() if replaced is None else replaced.image)
        return HostSurface(self._buffer, self._sprites)


def output_size(width: int, height: int, max_height: int | None) -> tuple[int, int]:
    """Returns width and height of the output: both even, as 4:2:0 video requires, and at most `max_height` lines."""
    if max_height is not None and height > max_height:
        width, height = round(width * max_height / height), max_height
    return max(2, width - width % 2), max(2, height - height % 2)


def fill(target: Image, source: Image) -> None:
    """Copies `source` into `target`; scales it if their sizes differ by more than an odd row or column to cut off."""
    height, width = target.shape[:2]
    rows, columns = source.shape[:2]
    if rows - height in (0, 1) and columns - width in (0, 1):
        np.copyto(target, source[:height, :width])
        return
    ratio = rows / height
    whole = rows % height == 0 and columns % width == 0
    # Averaging over fractions of pixels costs five times as much as linear and pays only if linear would skip pixels.
    method = cv2.INTER_AREA if whole or ratio > _HALVES else cv2.INTER_LINEAR
    cv2.resize(source, (width, height), dst=target, interpolation=method)
