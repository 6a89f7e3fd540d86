"""Temporal smoothing: moves the last painting along with the video, so that static areas do not flicker.

The model paints each frame independently, so the slightest camera noise moves its strokes. Therefore the last painting
is warped along the motion of the video, found by dense inverse search (Kroeger et al. 2016, arXiv 1603.03590), and
blended with the new one: strongly where the frame matches the previous one under the same warp, not at all where
something appeared or changed. Ruder et al. 2016, "Artistic style transfer for videos", weight their temporal loss in
the same way; here it is applied to the output, at less than a tenth of the model's cost.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sightd.plugins.api import FloatArray, Image

_KEPT = 0.85
"""Weight of the warped painting in unchanged areas: the painting settles within about ten frames."""
_SAME, _OTHER = 6.0, 26.0
"""Difference of grey levels up to which the frame counts as unchanged, and from which as changed."""
_FLOW_WIDTH = 240
"""Width at which motion is estimated: strokes are coarser than that."""


@dataclass(frozen=True, slots=True, eq=False)
class Painted:
    """The last frame, grey uint8 [h, w], and its painting float32 [h, w, 3] 0-255, of the same size. Immutable."""

    grey: Image
    paint: FloatArray


class TemporalSmoother:
    """Not thread-safe. Keeps no state of a camera; the caller does."""

    def __init__(self, strength: float = 1.0) -> None:
        """`strength` 0-1: 0 leaves each frame's painting unchanged."""
        self._kept = _KEPT * strength
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)

    def steadied(self, last: Painted | None, source: Image, paint: FloatArray) -> Painted:
        """Returns the painting of `source` (BGR uint8 [h, w, 3]), blended with the warped last one. `paint` is the new
        painting, float32 [h, w, 3] 0-255. A size other than the last one's starts over."""
        grey = np.asarray(cv2.cvtColor(source, cv2.COLOR_BGR2GRAY), np.uint8)
        if last is None or last.grey.shape != grey.shape or self._kept <= 0:
            return Painted(grey, paint)
        places = self._origins(grey, last.grey)
        was_grey, was_paint = (_moved(one, places) for one in (last.grey, last.paint))
        off = cv2.GaussianBlur(cv2.absdiff(grey, np.asarray(was_grey, np.uint8)), (0, 0), 1.0).astype(np.float32)
        kept = self._kept * np.clip((_OTHER - off) / (_OTHER - _SAME), 0, 1)[:, :, None]
        mixed: FloatArray = (kept * was_paint + (1 - kept) * paint).astype(np.float32)
        return Painted(grey, mixed)

    def _origins(self, grey: Image, last: Image) -> FloatArray:
        """Returns where each pixel of the frame was in the last one: float32 [h, w, 2] as x, y."""
        height, width = grey.shape
        small = (min(width, _FLOW_WIDTH), max(16, round(height * min(width, _FLOW_WIDTH) / width)))
        now, then = (cv2.resize(one, small, interpolation=cv2.INTER_AREA) for one in (grey, last))
        flow = self._flow.calc(now, then, None)  # type: ignore[call-overload]
        flow = cv2.resize(flow, (width, height)) * np.array((width / small[0], height / small[1]), np.float32)
        x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        origins: FloatArray = np.stack((x, y), axis=-1) + flow
        return origins


def _moved(image: Image | FloatArray, places: FloatArray) -> FloatArray:
    moved: FloatArray = cv2.remap(image, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return moved
