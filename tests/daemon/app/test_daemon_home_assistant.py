"""A real daemon, a real broker: zones are occupied, cameras pause and thresholds change as Home Assistant asks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed: make setup")

from paho.mqtt import publish

from tests.daemon.delivery.home_assistant_facts import require_valid
from tests.support.daemon import DaemonProcess, one_object_network
from tests.support.mosquitto import Broker, Subscriber

pytestmark = [pytest.mark.slow, pytest.mark.waiting]

EVERYWHERE = [[0, 0], [1, 0], [1, 1], [0, 1]]


@pytest.fixture
def subscriber(tmp_path: Path) -> Iterator[Subscriber]:
    with Broker(tmp_path) as broker, Subscriber(broker.port) as one:
        yield one


def configuration(folder: Path, port: int) -> dict[str, Any]:
    redacting = {**one_object_network(folder), "redact": ["thing"]}
    home = {"type": "mqtt", "host": "127.0.0.1", "port": port, "home_assistant": {"commands": True}}
    camera = {"source": "testpattern://", "width": 320, "height": 240, "fps": 10}
    zones = {"cameras": {"gate": {"zones": {"drive": {"corners": EVERYWHERE, "min_dwell": "100ms"}}}}}
    return {
        "cameras": {"gate": camera, "private": {**camera, "chain": ["redacting"]}},
        "rtsp": {"enabled": False},
        "chain": ["detector", "tracker", "zones"],
        "plugins": {
            "detector": one_object_network(folder),
            "redacting": {"use": "detector", **redacting},
            "zones": zones,
        },
        "events": {"snapshots": {"kinds": ["zone.*"]}},
        "delivery": {"instance": "yard", "sinks": {"home": home}},
    }


def newest(subscriber: Subscriber, topic: str) -> dict[str, Any]:
    found = [one.payload for one in list(subscriber.messages) if one.topic == topic and one.payload]
    form: dict[str, Any] = json.loads(found[-1]) if found else {}
    return form


def test_the_state_follows_the_cameras_and_commands_are_carried_out(subscriber: Subscriber, tmp_path: Path) -> None:
    def gate() -> dict[str, Any]:
        return newest(subscriber, "sightd/yard/cameras/gate")

    def command(topic: str, value: str) -> None:
        publish.single(f"sightd/yard/set/{topic}", value, qos=1, port=subscriber.port)

    with DaemonProcess(tmp_path, configuration(tmp_path, subscriber.port)) as daemon:
        subscriber.wait_for(lambda: gate().get("zones", {}).get("drive", {}).get("inside") == 1)
        assert gate()["connected"]
        device = newest(subscriber, "homeassistant/device/sightd_yard/gate/config")
        require_valid("homeassistant/device/sightd_yard/gate/config", device)
        assert {"zone_drive", "zone_drive_count_thing", "analysis"} <= device["components"].keys()
        subscriber.wait_for(lambda: any(one.topic == "sightd/yard/pictures/gate" for one in subscriber.messages))
        picture = next(one.payload for one in subscriber.messages if one.topic == "sightd/yard/pictures/gate")
        image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        assert image.shape == (240, 320, 3)
        private = newest(subscriber, "homeassistant/device/sightd_yard/private/config")
        assert "analysis" not in private["components"], "a chain that redacts cannot be paused"
        command("cameras/private/analysis", "OFF")
        command("cameras/gate/analysis", "OFF")
        subscriber.wait_for(lambda: gate()["paused"] and not gate()["zones_current"])
        assert not daemon.values("sightd_zone_occupancy", "zone", camera="gate"), "nor has the gauge a number"
        cameras = {one["name"]: one["paused"] for one in daemon.get("/api/v1/status").json()["cameras"]}
        assert (cameras["gate"], cameras["private"]) == (True, None)
        command("cameras/gate/analysis", "ON")
        subscriber.wait_for(lambda: not gate()["paused"] and gate()["zones"]["drive"]["inside"] == 1)
        assert not newest(subscriber, "sightd/yard/cameras/private")["paused"]
        assert "redacting" not in newest(subscriber, "sightd/yard/state")["thresholds"], "it would show what is hidden"
        command("plugins/redacting/min_score", "0.95")
        command("plugins/detector/min_score", "0.95")
        subscriber.wait_for(lambda: gate()["objects_current"] and gate()["objects"] == 0, 30)
        assert newest(subscriber, "sightd/yard/state")["thresholds"]["detector"] == {"min_score": 0.95}
