"""A camera moves as ONVIF's PTZ service defines it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sightd.daemon.onvif.errors import OnvifError
from sightd.daemon.onvif.ptz import OnvifPtz, Preset, Vector
from tests.daemon.onvif.test_device import device_of
from tests.support.onvif_camera import OnvifCamera

pytestmark = pytest.mark.waiting


@pytest.fixture
def camera() -> Iterator[OnvifCamera]:
    with OnvifCamera() as camera:
        yield camera
    assert camera.wrong == []


@pytest.fixture
def ptz(camera: OnvifCamera) -> OnvifPtz:
    device = device_of(camera)
    return OnvifPtz(device, device.profile(None))


def test_a_camera_says_what_it_can_do(ptz: OnvifPtz) -> None:
    moves = ptz.moves()
    assert moves.pan_tilt == {"continuous", "relative", "absolute"}
    assert moves.zoom == {"continuous", "absolute"}
    assert (moves.home, moves.presets) == (True, 16)


def test_it_moves_to_positions_and_by_distances(camera: OnvifCamera, ptz: OnvifPtz) -> None:
    ptz.absolute(Vector(0.5, -0.25, 0.75))
    assert ptz.status().position == Vector(0.5, -0.25, 0.75)
    ptz.relative(Vector(-0.25, 0.5))
    ptz.absolute(Vector(zoom=0.5))
    assert ptz.status().position == Vector(0.25, 0.25, 0.5)
    assert ptz.status().moving is False


def test_it_moves_with_a_speed_until_it_is_stopped(camera: OnvifCamera, ptz: OnvifPtz) -> None:
    ptz.continuous(Vector(1.0, -0.5, 0.25), 5.0)
    assert camera.view.speed == [1.0, -0.5, 0.25]
    assert ptz.status().moving is True
    ptz.stop()
    assert not camera.moving


def test_the_camera_itself_stops_after_the_time_of_a_move(camera: OnvifCamera, ptz: OnvifPtz) -> None:
    now = 100.0
    camera.view.clock = lambda: now
    camera.view.advance()
    ptz.continuous(Vector(0.2, 0.0), 1.5)
    now = 101.9
    assert camera.moving
    now = 102.1
    assert not camera.moving


def test_a_camera_that_knows_no_timeouts_is_moved_without(camera: OnvifCamera, ptz: OnvifPtz) -> None:
    camera.move_timeouts = False
    ptz.continuous(Vector(0.2, 0.0), 1.5)
    ptz.continuous(Vector(0.3, 0.0), 1.5)
    assert camera.view.speed[0] == pytest.approx(0.3)
    assert camera.requests.count("ContinuousMove") == 3


def test_presets_are_stored_renamed_visited_and_removed(camera: OnvifCamera, ptz: OnvifPtz) -> None:
    ptz.absolute(Vector(0.1, 0.2, 0.3))
    token = ptz.set_preset("Drive & <way>")
    assert ptz.presets() == [Preset("1", "Gate"), Preset(token, "Drive & <way>")]
    ptz.goto_preset("1")
    assert ptz.status().position == Vector(0.5, 0.0, 0.0)
    assert ptz.set_preset("Corner", token) == token
    ptz.remove_preset("1")
    assert ptz.presets() == [Preset(token, "Corner")]
    with pytest.raises(OnvifError, match="token does not exist"):
        ptz.goto_preset("1")


def test_home_is_set_and_visited(camera: OnvifCamera, ptz: OnvifPtz) -> None:
    ptz.absolute(Vector(0.4, 0.4, 0.0))
    ptz.set_home()
    ptz.absolute(Vector(0.0, 0.0, 0.0))
    ptz.goto_home()
    assert ptz.status().position == Vector(0.4, 0.4, 0.0)


def test_a_profile_that_cannot_move_the_camera_is_refused(camera: OnvifCamera) -> None:
    device = device_of(camera)
    with pytest.raises(OnvifError, match="cannot be moved"):
        OnvifPtz(device, device.profile("sub"))
