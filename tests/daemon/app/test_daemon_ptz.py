"""A real daemon moves a camera by ONVIF: on request, and after an object that its tracker finds."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx
import pytest

from tests.support.daemon import DaemonProcess, one_object_network
from tests.support.onvif_camera import OnvifCamera
from tests.support.waiting import eventually

pytestmark = pytest.mark.waiting


def test_a_camera_follows_what_the_tracker_finds_until_somebody_moves_it(tmp_path: Path) -> None:
    with OnvifCamera() as camera:
        onvif = {"address": f"127.0.0.1:{camera.port}", "username": "admin", "password": camera.password}
        ptz = {"follow": {"classes": ["thing"], "pause": "1h"}}
        gate = {"source": "testpattern://", "width": 320, "height": 180, "fps": 10, "onvif": onvif, "ptz": ptz}
        detector = one_object_network(tmp_path, (0.7, 0.4, 0.9, 0.6))
        configuration = {"cameras": {"gate": gate}, "chain": ["detector", "tracker"], "plugins": {"detector": detector}}
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        web = httpx.Client(verify=tls, headers={"X-Sightd": "1"}, timeout=20)
        with web, DaemonProcess(tmp_path, configuration) as daemon:
            eventually(lambda: camera.moving, 30, "the object is right of the centre")
            assert camera.view.speed[0] > 0
            assert camera.view.speed[1] == 0
            assert [one["ptz"] for one in web.get(daemon.url("/api/v1/status")).json()["cameras"]] == [True]
            base = daemon.url("/api/v1/cameras/gate/ptz")
            state = web.get(base).json()
            assert (state["following"]["enabled"], state["following"]["track"]) == (True, 1)
            assert web.post(f"{base}/stop").status_code == 204
            assert not camera.moving
            state = web.get(base).json()
            assert state["following"]["track"] is None
            assert state["following"]["paused"] > 3000
            web.post(f"{base}/move", json={"tilt": 0.1, "seconds": 10})
            assert camera.moving
            assert camera.view.until < float("inf"), "it would end by itself if the daemon were killed"
            assert daemon.terminate()[0] == 0
        assert not camera.moving, "the daemon has stopped"
        assert camera.wrong == []
        assert camera.password not in daemon.log
