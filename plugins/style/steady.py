"""Paint that moves with the picture: no flicker where nothing changes.

A network paints each frame anew, and the least noise of the camera moves its strokes. So the last painting is carried
along with the motion of the picture, found by dense inverse search (Kroeger et al. 2016, arXiv 1603.03590), and mixed
with the new one: most of it where the picture looks as the last one does when it is moved likewise, none of it where
something came into sight or changed (as Ruder et al. 2016, "Artistic style transfer for videos", weigh their temporal
loss; here it is done to the output, at less than a tenth of the network's cost).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sightd.plugins.types import FloatArray, Image

_KEPT = 0.85
"""Of the carried painting, where nothing changed: paint settles within some ten frames."""
_SAME, _OTHER = 6.0, 26.0
"""Difference of grey levels up to which the picture is the same, and from which it is another."""
_FLOW_WIDTH = 240
"""Width at which motion is looked for: strokes are coarser than that."""


@dataclass(frozen=True, slots=True, eq=False)
class Painted:
    """The last frame, grey uint8 [h, w], and its painting float32 [h, w, 3] 0-255, of one size. Never changed."""

    grey: Image
    paint: FloatArray


class Steadier:
    """Used by one thread at a time; what is remembered of a camera is the caller's."""

    def __init__(self, strength: float = 1.0) -> None:
        """`strength` 0-1: 0 leaves each frame's painting as it is."""
        self._kept = _KEPT * strength
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)

    def steadied(self, last: Painted | None, source: Image, paint: FloatArray) -> Painted:
        """The painting of `source` (BGR uint8 [h, w, 3]), mixed with the last one carried along. `paint` is new:
        float32 [h, w, 3] 0-255. Another size than the last begins anew."""
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
        """Where each pixel of the frame was in the last one: float32 [h, w, 2] as x, y."""
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
