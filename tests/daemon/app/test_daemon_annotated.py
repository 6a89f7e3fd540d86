"""A real daemon records what viewers see: of a test pattern, and of a camera whose chain redacts."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from sightd.daemon.capture.testpattern import TestPattern
from sightd.plugins.api import Image
from tests.daemon.app.test_daemon_masks import DOG, HEIGHT, PERSON, WIDTH, configuration, detail
from tests.support.daemon import DaemonProcess, one_object_network
from tests.support.waiting import eventually

pytestmark = pytest.mark.waiting

SIZE = (320, 240)
LEFT_EDGE = (slice(70, 120), slice(79, 82))
"""Rows and columns of the left side of the only box."""
INSIDE = (slice(70, 120), slice(90, 110))


def site(folder: Path) -> dict[str, Any]:
    """Two cameras, whose only event is that they are live. Nobody watches them."""
    settings = configuration(folder)
    hall = {"source": "testpattern://", "width": SIZE[0], "height": SIZE[1], "fps": 10, "chain": ["finder"]}
    settings["cameras"]["hall"] = {**hall, "render": {"boxes": True}}
    settings["plugins"]["finder"] = {"use": "detector", **one_object_network(folder)}
    settings["recording"] = {
        "source": "annotated",
        "clips": {"kinds": ["camera.up"], "pre": "1s", "post": "5s"},
        "min_free": 0,
    }
    return settings


def images_of(daemon: DaemonProcess, camera: str) -> list[Image]:
    """Returns the frames of all clips of a camera."""
    found: list[Image] = []
    for clip in reversed(daemon.get(f"/api/v1/clips?camera={camera}").json()):
        assert (clip["codec"], clip["audio"]) == ("h264", None)
        with av.open(io.BytesIO(daemon.get(clip["video"]).content), "r") as container:
            found += [np.asarray(one.to_ndarray(format="bgr24"), np.uint8) for one in container.decode(video=0)]
    return found


def live(daemon: DaemonProcess, camera: str) -> list[Image]:
    """Returns the frames without those of the slate."""
    size = {"door": (HEIGHT, WIDTH), "hall": SIZE[::-1]}[camera]
    return [image for image in images_of(daemon, camera) if image.shape[:2] == size]


def differs(image: Image, place: tuple[slice, slice]) -> float:
    """Returns by how much an image differs at a place from the pattern, as far as that does not move."""
    pattern = TestPattern(*SIZE, 10).draw(0, 0.0)
    return float(np.median(np.abs(image.astype(int) - pattern)[place]))


def test_clips_show_boxes_and_only_what_was_redacted_of_cameras_that_could_not_be_recorded_as_received(
    tmp_path: Path,
) -> None:
    with DaemonProcess(tmp_path, site(tmp_path)) as daemon:
        eventually(lambda: bool(live(daemon, "door") and live(daemon, "hall")), 60, "clips of both")
        door, hall = live(daemon, "door"), live(daemon, "hall")
        assert daemon.readiness()["reasons"] == []
        assert daemon.metric("sightd_clip_errors_total", camera="hall") == 0
    assert all(detail(image, PERSON) < 0.25 for image in door), "from the very first frame on"
    assert detail(door[-1], DOG) > 0.7
    assert differs(hall[-1], LEFT_EDGE) > 30, "the box is visible"
    assert differs(hall[-1], INSIDE) < 10, "and what is in it"
