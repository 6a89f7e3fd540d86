"""A real daemon's snapshots: an event of a plug-in links to what it saw, and a notification has it attached."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.support.daemon import DaemonProcess
from tests.support.example import environment_with, install_example
from tests.support.waiting import eventually
from tests.support.webhook_receiver import WebhookReceiver, status

pytestmark = pytest.mark.waiting


def film(path: Path) -> Path:
    """Two seconds in which a bright square moves to the right."""
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (320, 240))
    for number in range(20):
        image = np.zeros((240, 320, 3), np.uint8)
        image[80:160, 10 * number : 10 * number + 80] = (40, 40, 240)
        video.write(image)
    video.release()
    return path


@pytest.fixture
def phone() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as one:
        one.usual = status(200)
        yield one


@pytest.mark.slow
def test_an_event_links_to_its_pictures_and_a_notification_has_one(phone: WebhookReceiver, tmp_path: Path) -> None:
    environ = environment_with(install_example(tmp_path / "example"))
    options = {
        "cameras": {"yard": {"source": str(film(tmp_path / "square.avi"))}},
        "plugins": {"motion": {"rest": "1h"}},
        "chain": ["motion"],
        "events": {"snapshots": {"kinds": ["motion.*"], "min_free": 0}},
        "delivery": {
            "sinks": {
                "phone": {"type": "notify", "urls": [phone.url.replace("http", "json", 1)], "kinds": ["motion.began"]}
            }
        },
        "rtsp": {"enabled": False},
    }
    with DaemonProcess(tmp_path, options, environ) as daemon:
        eventually(lambda: bool(daemon.get("/api/v1/events?kind=motion.began").json()), 30, "a motion")
        (event,) = daemon.get("/api/v1/events?kind=motion.began").json()
        assert daemon.get(f"/api/v1/events/{event['id']}").json() == event
        annotated, clean = daemon.get(event["snapshot"]), daemon.get(event["clean_snapshot"])
        assert {annotated.headers["content-type"], clean.headers["content-type"]} == {"image/jpeg"}
        images = [cv2.imdecode(np.frombuffer(one.content, np.uint8), cv2.IMREAD_COLOR) for one in (annotated, clean)]
        assert [None if one is None else one.shape for one in images] == [(240, 320, 3)] * 2
        assert annotated.content != clean.content
        assert daemon.metric("sightd_snapshots_total", camera="yard") == 1
        size = len(annotated.content) + len(clean.content)
        assert daemon.metric("sightd_snapshot_bytes_total", camera="yard") == size
        assert daemon.metric("sightd_snapshots_stored_bytes") == size
        assert set(daemon.values("sightd_snapshots_dropped_total", "reason", camera="yard").values()) == {0}
        storage = daemon.get("/api/v1/status").json()["storage"]["snapshots"]
        assert storage == {"path": str(tmp_path / "state/snapshots"), "size": size, "fault": None}
        phone.wait_for(lambda: len(phone.requests) > 0, 60)
        (attached,) = phone.requests[0].event["attachments"]
        assert base64.b64decode(attached["base64"]) == annotated.content
        code, _ = daemon.terminate()
        assert code == 0
