"""The GPU that decodes feeds with NVDEC and draws on their frames."""

from __future__ import annotations

import logging

from sightd.engines.cuda.frame_drawing import FrameDrawing
from sightd.engines.cuda.gpus import Gpus
from sightd.engines.errors import EngineError

log = logging.getLogger(__name__)


def video_gpu(device: str) -> str:
    """Returns the `device` configured for engines if it is a GPU, else "cuda:0"."""
    return device if device.startswith("cuda:") else "cuda:0"


def open_drawing(gpus: Gpus, device: str, camera: str) -> FrameDrawing | None:
    """Opens the GPU for drawing on one camera's frames. If that fails, logs a warning and returns None: the CPU draws
    then."""
    try:
        return FrameDrawing(gpus.get(device))
    except EngineError as error:
        log.warning("camera %s: decoding with nvdec, drawing on the CPU: %s", camera, error)
        return None
