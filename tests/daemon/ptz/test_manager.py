"""Controls follow the configuration, and tracks find their way to cameras that follow objects."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sightd.daemon.config.model import Config
from sightd.daemon.ptz.control import PtzControl
from sightd.daemon.ptz.follow import Sight
from sightd.daemon.ptz.manager import PtzManager, sight_of
from sightd.plugins.api import Frame, Results, Tracks

pytestmark = pytest.mark.computing


def config(**cameras: dict[str, Any]) -> Config:
    return Config.model_validate(
        {"cameras": {name: {"source": "testpattern://", **one} for name, one in cameras.items()}}
    )


def frame(camera: str = "gate") -> Frame:
    return Frame.of(np.zeros((90, 160, 3), np.uint8), camera=camera, captured_at=5.0)


def tracks() -> Tracks:
    """An observed person in the lower right quarter, and a predicted dog."""
    boxes = np.array([[120, 45, 160, 90], [0, 0, 10, 10]], np.float32)
    two = np.zeros(2, np.float32)
    return Tracks(boxes, two, np.array([0, 1]), np.array([7, 8]), two, np.zeros((2, 2), np.float32), np.array([3, -1]),
                  ("person", "dog"))  # fmt: skip


def test_observed_tracks_become_targets_in_fractions_of_the_picture() -> None:
    seen = sight_of(frame(), tracks())
    (target,) = seen.targets
    assert seen.captured_at == 5.0
    assert seen.aspect == pytest.approx(16 / 9)
    assert (target.number, target.label, target.x, target.y) == (7, "person", 0.875, 0.75)
    assert target.foot[0] == pytest.approx(0.875)
    assert 0.99 < target.foot[1] < 1
    assert target.size == pytest.approx(0.125)
    assert sight_of(frame(), None).targets == ()


def test_only_cameras_with_onvif_can_be_moved() -> None:
    manager = PtzManager()
    manager.apply(
        config(gate={"onvif": {"address": "10.0.0.7"}}, yard={}, off={"onvif": {"address": "x"}, "enabled": False})
    )
    assert manager.get("gate") is not None
    assert manager.get("yard") is None
    assert manager.get("off") is None
    manager.close()
    assert manager.get("gate") is None


def test_a_control_stays_unless_its_own_options_change() -> None:
    manager = PtzManager()
    manager.apply(config(gate={"onvif": {"address": "10.0.0.7"}}))
    before = manager.get("gate")
    manager.apply(config(gate={"onvif": {"address": "10.0.0.7"}, "title": "Gate"}, yard={}))
    assert manager.get("gate") is before
    manager.apply(config(gate={"onvif": {"address": "10.0.0.7"}, "ptz": {"follow": {"classes": ["person"]}}}))
    after = manager.get("gate")
    assert after is not before
    assert after is not None
    assert after.follows
    manager.close()


def test_frames_reach_the_camera_that_follows_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, Sight]] = []
    monkeypatch.setattr(PtzControl, "observe", lambda control, sight: seen.append((control.camera, sight)))
    manager = PtzManager()
    follow = {"follow": {"classes": ["person"]}}
    manager.apply(config(gate={"onvif": {"address": "a"}, "ptz": follow}, yard={"onvif": {"address": "b"}}, old={}))
    for camera in ("gate", "yard", "old"):
        manager.observe(frame(camera), Results(tracks()))
    assert [camera for camera, _ in seen] == ["gate"]
    assert len(seen[0][1].targets) == 1
    manager.close()
