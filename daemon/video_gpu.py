"""The GPU on which NVDEC decodes feeds, and their pictures are drawn on."""

from __future__ import annotations

import logging

from sightd.engines.cuda.frame_drawing import FrameDrawing
from sightd.engines.cuda.gpus import Gpus
from sightd.engines.errors import EngineError

log = logging.getLogger(__name__)


def video_gpu(device: str) -> str:
    """Which it is, for the `device` that the configuration gives engines: that one, or the first where it is no GPU."""
    return device if device.startswith("cuda:") else "cuda:0"


def open_drawing(gpus: Gpus, device: str, camera: str) -> FrameDrawing | None:
    """Draws on one camera's pictures there; None where that GPU cannot, which is told: the CPU draws then."""
    try:
        return FrameDrawing(gpus.get(device))
    except EngineError as error:
        log.warning("camera %s is decoded by nvdec and drawn on by the CPU: %s", camera, error)
        return None
