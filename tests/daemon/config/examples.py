"""The example files, and an environment in which they can be loaded."""

from __future__ import annotations

from pathlib import Path

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
