"""A daemon with a gallery and a journal, for tests of damage to its state."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from tests.support import media
from tests.support.daemon import DaemonProcess

CHANGES = {"X-Sightd": "1"}


def configuration() -> dict[str, Any]:
    """Returns a configuration with a test-pattern camera and a face plug-in that runs only once an hour, because only
    its gallery matters."""
    pattern = {"source": "testpattern://", "width": 320, "height": 240, "fps": 10}
    face = {"every": 36_000, "unknown": False}
    return {
        "cameras": {"a": pattern},
        "chain": ["face"],
        "plugins": {"face": face},
        "rtsp": {"enabled": False},
        "log": {"level": "info"},
    }


def enrol(daemon: DaemonProcess, name: str, within: float = 30.0) -> httpx.Response:
    photograph = media.path("single_face.jpg").read_bytes()
    url = daemon.url(f"/api/v1/faces/{name}/photos?anyway=true")
    return httpx.post(url, content=photograph, headers=CHANGES, timeout=within)


def persons(daemon: DaemonProcess) -> set[str]:
    return {one["name"] for one in daemon.get("/api/v1/faces").json()}


def reload(daemon: DaemonProcess) -> None:
    """Reloads the daemon, which records an event."""
    assert httpx.post(daemon.url("/api/v1/reload"), headers=CHANGES, timeout=30).status_code == 200


def events(daemon: DaemonProcess) -> Sequence[dict[str, Any]]:
    found: Sequence[dict[str, Any]] = daemon.get("/api/v1/events?after=0&limit=1000").json()
    return found


def captured(daemon: DaemonProcess) -> float:
    return daemon.metric("sightd_frames_total", camera="a", stage="captured")


def state_of(folder: Path) -> dict[str, str]:
    return {"SIGHTD_STATE_DIR": str(folder)}
