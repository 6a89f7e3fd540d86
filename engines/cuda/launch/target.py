"""A frame that a kernel writes to."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from sightd.engines.cuda.launch.layout import TARGET, record
from sightd.engines.cuda.launch.picture import DevicePicture, bgr_to_yuv
from sightd.engines.cuda.launch.resample import steps


def target(frame: DevicePicture, width: int, height: int) -> NDArray[Any]:
    """Returns the struct `Target`: `frame` filled from an image of `width` x `height`, in the frame's own colour
    format."""
    (step_x, start_x), (step_y, start_y) = steps(width, frame.width), steps(height, frame.height)
    return record(
        TARGET,
        frame=frame.record(),
        step_x=step_x,
        start_x=start_x,
        step_y=step_y,
        start_y=start_y,
        yuv=bgr_to_yuv(frame.matrix, frame.full_range),
    )
