"""The example files, and an environment in which they can be loaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.support.exports import ultralytics, write_export
from tests.support.onnx_models import constant_network

FOLDER = Path(__file__).resolve().parents[3] / "config"
EXAMPLES = sorted(FOLDER.glob("*.yaml"))
CANARY = "Kanari3nvogel"
ENVIRON = {
    "SIGHTD_SAMPLES": "/srv/samples",
    "FRONT_DOOR_PASSWORD": f"{CANARY}1",
    "YARD_PASSWORD": f"{CANARY}/@2",
    "LINE_PASSWORD": f"{CANARY}3",
    "RTSP_PASSWORD": f"{CANARY}4",
}


def write_parts(path: Path) -> Path:
    """Writes a YOLOX model of three classes, as in own-model.yaml."""
    return constant_network(path, (64, 32), {"output": np.zeros((42, 8), np.float32)})


def write_exported(path: Path, score: float = 0.0) -> Path:
    """Writes a model whose metadata says all that a configuration needs. It finds one object of class 0."""
    output = np.zeros((7, 126), np.float32)
    output[:5, 0] = 48, 32, 40, 30, score
    return write_export(path, {"output0": output}, metadata=ultralytics())
