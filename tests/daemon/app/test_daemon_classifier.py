"""The whole daemon with the classifier: what a camera shows is counted by its class."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from tests.support.daemon import DaemonProcess
from tests.support.faces import photo
from tests.support.networks import stored
from tests.support.waiting import eventually

pytestmark = pytest.mark.waiting


def test_what_a_camera_shows_is_counted_and_drawn(tmp_path: Path) -> None:
    stored("mobilenet-v2")
    still = tmp_path / "coffee.avi"
    film = cv2.VideoWriter(str(still), cv2.VideoWriter.fourcc(*"MJPG"), 25, (600, 400))
    for _ in range(50):
        film.write(photo("coffee.png"))
    film.release()
    configuration = {
        "cameras": {"table": {"source": str(still)}},
        "chain": ["classifier"],
        "plugins": {"classifier": {"max_fps": 10}},
        "rtsp": {"enabled": False},
    }
    with DaemonProcess(tmp_path, configuration) as daemon:

        def counted() -> bool:
            try:
                return daemon.metric("sightd_classifications_total", camera="table", **{"class": "espresso"}) > 3
            except KeyError:
                return False

        eventually(counted, 20)
        assert daemon.metric("sightd_plugin_faults_total", plugin="classifier", reason="error") == 0
        code, _ = daemon.terminate()
        assert code == 0
