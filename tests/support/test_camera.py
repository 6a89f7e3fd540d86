"""The simulated camera and the viewer, without a daemon between them."""

from __future__ import annotations

import pytest

from tests.support.camera import CameraSimulator, Look, need_rtsp_server
from tests.support.viewer import Viewer


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_every_mount_shows_the_same_live_pictures(transport: str) -> None:
    need_rtsp_server()
    with (
        CameraSimulator(Look(size=(640, 360)), mounts=2) as camera,
        Viewer(camera.address(0), transport=transport) as first,
        Viewer(camera.address(1), transport=transport) as second,
    ):
        seen = [first.wait_for(30), second.wait_for(30)]
    for viewer in (first, second):
        assert viewer.in_order()
        assert viewer.missing() == 0
        assert 0 < sorted(viewer.latencies())[len(viewer.latencies()) // 2] < 0.3
    numbers = [{picture.bar.number for picture in pictures if picture.bar} for pictures in seen]
    assert len(numbers[0] & numbers[1]) > 10


def test_a_viewer_says_why_it_saw_nothing() -> None:
    need_rtsp_server()
    with (
        CameraSimulator(Look(size=(640, 360)), user="viewer", password="right") as camera,
        Viewer(camera.address(password="wrong")) as viewer,
        pytest.raises(AssertionError, match="Unauthorized"),
    ):
        viewer.wait_for(1, within=5.0)
