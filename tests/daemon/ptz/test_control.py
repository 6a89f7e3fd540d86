"""A camera is moved for a limited time, no matter who asks and what fails. The camera is a simulated ONVIF device."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pydantic import SecretStr

from sightd.daemon.capture.errors import Reason
from sightd.daemon.config.onvif import Follow, Onvif
from sightd.daemon.onvif.errors import OnvifError
from sightd.daemon.onvif.ptz import OnvifPtz, Vector
from sightd.daemon.ptz import control as module
from sightd.daemon.ptz.control import PtzControl, connect
from sightd.daemon.ptz.follow import Sight, Target
from tests.support.onvif_camera import OnvifCamera
from tests.support.waiting import eventually

pytestmark = pytest.mark.waiting


def options_of(camera: OnvifCamera, password: str | None = None) -> Onvif:
    secret = SecretStr(camera.password if password is None else password)
    return Onvif(address=f"127.0.0.1:{camera.port}", username=camera.username, password=secret)


@contextmanager
def controlled(camera: OnvifCamera, follow: Follow | None = None, **options: Any) -> Iterator[PtzControl]:
    control = PtzControl("gate", options_of(camera), follow, **options)
    try:
        yield control
    finally:
        control.close()


@pytest.fixture
def camera() -> Iterator[OnvifCamera]:
    with OnvifCamera() as camera:
        yield camera
    assert camera.wrong == []


@pytest.fixture
def control(camera: OnvifCamera) -> Iterator[PtzControl]:
    with controlled(camera) as control:
        yield control


def test_a_move_ends_although_nobody_stops_it(camera: OnvifCamera, control: PtzControl) -> None:
    control.move(Vector(0.5, 0.0), 0.3)
    assert camera.moving
    assert camera.stops.wait(10)
    assert not camera.moving


def test_a_camera_that_knows_no_timeouts_is_stopped_too(camera: OnvifCamera, control: PtzControl) -> None:
    camera.move_timeouts = False
    control.move(Vector(0.5, 0.0), 0.2)
    assert camera.stops.wait(10)


def test_a_later_move_extends_the_earlier_one_and_a_zero_speed_stops(camera: OnvifCamera, control: PtzControl) -> None:
    control.move(Vector(0.5, 0.0), 0.1)
    control.move(Vector(0.4, 0.0), 10.0)
    assert not camera.stops.wait(0.4)
    control.move(Vector(0.0, 0.0, 0.0), 10.0)
    assert camera.stops.is_set()
    assert not camera.moving


def test_no_move_is_longer_than_ten_seconds(camera: OnvifCamera, control: PtzControl) -> None:
    now = time.monotonic()
    control.move(Vector(0.5, 0.0), 1000.0)
    assert camera.view.until < now + 12


def test_a_stop_that_fails_is_repeated_until_the_camera_stops(
    camera: OnvifCamera, control: PtzControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter([OnvifError(Reason.TIMEOUT), OnvifError(Reason.OTHER, "busy")])
    stop = OnvifPtz.stop

    def failing(ptz: OnvifPtz) -> None:
        for failure in failures:
            raise failure
        stop(ptz)

    monkeypatch.setattr(OnvifPtz, "stop", failing)
    camera.move_timeouts = False
    control.move(Vector(0.5, 0.0), 0.1)
    assert camera.stops.wait(10)


def test_a_move_whose_answer_is_lost_is_ended_too(
    camera: OnvifCamera, control: PtzControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = OnvifPtz.continuous

    def losing(ptz: OnvifPtz, speed: Vector, seconds: float) -> None:
        move(ptz, speed, seconds)
        raise OnvifError(Reason.TIMEOUT)

    monkeypatch.setattr(OnvifPtz, "continuous", losing)
    camera.move_timeouts = False
    with pytest.raises(OnvifError):
        control.move(Vector(0.5, 0.0), 0.1)
    assert camera.stops.wait(10)


def test_a_wrong_password_is_not_tried_again_to_stop_what_never_moved(camera: OnvifCamera) -> None:
    control = PtzControl("gate", options_of(camera, "wrong-password"))
    try:
        with pytest.raises(OnvifError) as error:
            control.move(Vector(0.5, 0.0), 0.1)
        assert error.value.reason is Reason.UNAUTHORISED
        assert control._stop_at is None
    finally:
        control.close()


def test_closing_stops_a_camera_that_moves(camera: OnvifCamera) -> None:
    camera.move_timeouts = False
    with controlled(camera) as control:
        control.move(Vector(0.5, 0.0), 10.0)
        assert camera.moving
    assert not camera.moving
    assert not [one for one in threading.enumerate() if one.name == "ptz-gate"]


def test_after_closing_nothing_is_accepted(camera: OnvifCamera) -> None:
    with controlled(camera) as control:
        control.stop()
    with pytest.raises(OnvifError):
        control.stop()


def test_a_camera_that_comes_back_is_connected_to_again(camera: OnvifCamera, monkeypatch: pytest.MonkeyPatch) -> None:
    connections = []

    def counting(options: Onvif) -> OnvifPtz:
        connections.append(1)
        return connect(options)

    with controlled(camera, connect=counting) as control:
        control.stop()
        with monkeypatch.context() as broken:
            broken.setattr(OnvifPtz, "stop", lambda _ptz: (_ for _ in ()).throw(OnvifError(Reason.EOF)))
            with pytest.raises(OnvifError):
                control.stop()
        control.go_home()
        control.stop()
    assert len(connections) == 2


def test_too_many_requests_at_a_time_are_refused(camera: OnvifCamera) -> None:
    entered, left = threading.Event(), threading.Event()

    def slow(options: Onvif) -> OnvifPtz:
        entered.set()
        left.wait(20)
        return connect(options)

    with controlled(camera, connect=slow) as control:
        threads = [threading.Thread(target=control.go_home, daemon=True) for _ in range(9)]
        threads[0].start()
        assert entered.wait(10)
        for thread in threads[1:]:
            thread.start()
        eventually(lambda: len(control._jobs) == 8)
        with pytest.raises(OnvifError, match="earlier requests"):
            control.go_home()
        left.set()
        for thread in threads:
            thread.join(10)


def test_its_state_has_moves_presets_and_position(camera: OnvifCamera, control: PtzControl) -> None:
    control.go_to(Vector(0.5, 0.25, 0.75))
    control.step(Vector(-0.25, 0.25))
    state = control.state()
    assert state.position == Vector(0.25, 0.5, 0.75)
    assert (state.moving, state.following, state.track, state.paused) == (False, False, None, 0.0)
    preset = control.set_preset("Corner")
    control.go_home()
    control.go_to_preset(preset.token)
    assert [one.name for one in control.state().presets] == ["Gate", "Corner"]
    control.set_preset("Gate 2", "1")
    control.remove_preset(preset.token)
    control.set_home()
    assert [one.name for one in control.state().presets] == ["Gate 2"]


FOLLOW = Follow.model_validate({"classes": ["person"], "delay": 0, "home_after": "500ms", "pause": "300ms"})


def sight(x: float | None) -> Sight:
    targets = () if x is None else (Target(7, "person", x, 0.5, (x, 0.9), 0.1),)
    return Sight(time.monotonic(), targets, 16 / 9)


def test_it_follows_what_frames_show_and_returns_home(camera: OnvifCamera) -> None:
    with controlled(camera, FOLLOW) as control:
        control.observe(sight(None))
        assert control._thread is None, "nothing to do yet"
        control.observe(sight(0.9))
        eventually(lambda: camera.moving)
        assert camera.view.speed[0] > 0
        assert control.state().track == 7
        assert camera.stops.wait(10), "no frame came any more"
        eventually(lambda: "GotoHomePosition" in camera.requests)
        assert not camera.moving


def test_it_does_not_follow_while_somebody_else_moves_the_camera(camera: OnvifCamera) -> None:
    slow = FOLLOW.model_copy(update={"pause": 30.0, "home_after": 0.0})
    with controlled(camera, slow) as control:
        control.stop()
        control.observe(sight(0.9))
        eventually(lambda: control._sight is None)
        state = control.state()
        assert (state.track, camera.moving) == (None, False)
        assert 25 < state.paused <= 30


def test_a_camera_that_fails_is_not_asked_for_a_while(camera: OnvifCamera, caplog: pytest.LogCaptureFixture) -> None:
    attempts = []

    def refused(_options: Onvif) -> OnvifPtz:
        attempts.append(1)
        raise OnvifError(Reason.UNAUTHORISED)

    with controlled(camera, FOLLOW, connect=refused) as control:
        for _ in range(5):
            control.observe(sight(0.9))
            eventually(lambda: control._sight is None)
        eventually(lambda: "cannot follow" in caplog.text)
        assert len(attempts) == 1


def test_the_constants_keep_a_followers_move_alive_between_two_commands() -> None:
    assert module._TICK < module._RENEWED < module._FOLLOW_MOVE
