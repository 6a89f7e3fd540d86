"""Pictures to network input, driven by the input specification. One subject: the numbers a network is fed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.spec import InputSpec


@dataclass(frozen=True, slots=True)
class Geometry:
    """How a source picture lies in the network's input: `input = source * scale + offset`, in pixels."""

    scale_x: float
    scale_y: float
    offset_x: float
    offset_y: float
    source_width: int
    source_height: int

    def boxes_to_source(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Boxes xyxy [n, 4] from network pixels to source pixels, cut at the picture's edges; a new array."""
        raise NotImplementedError


def prepare(images: Sequence[NDArray[np.uint8]], spec: InputSpec) -> tuple[NDArray[np.float32], list[Geometry]]:
    """BGR uint8 [h, w, 3] pictures of any sizes to one float32 tensor [n, 3, spec.height, spec.width]."""
    raise NotImplementedError
