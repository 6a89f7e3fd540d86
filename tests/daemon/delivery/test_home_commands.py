"""Commands are checked and bounded, regardless of who sends them."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from sightd.daemon.delivery.home_commands import Commands
from sightd.daemon.delivery.home_view import SelectedCameras, Threshold
from tests.daemon.delivery.stub_home import GATE, StubHome


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def home() -> StubHome:
    return StubHome(thresholds=(Threshold("detector", "min_score", 0.4, 0.0, 1.0),))


def sent(home: StubHome, topic: str, payload: bytes, *, retained: bool = False) -> bool:
    commands = Commands("home", "sightd/yard/set/", home, Clock())
    commands.add(f"sightd/yard/set/{topic}", payload, retained)
    return commands.run()


def test_a_camera_is_paused_and_resumed(home: StubHome) -> None:
    assert sent(home, "cameras/gate/analysis", b"OFF")
    assert sent(home, "cameras/gate/analysis", b"ON")
    assert home.paused == [("gate", True), ("gate", False)]


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        ("cameras/gate/analysis", b"off", "write ON or OFF"),
        ("cameras/gate/analysis", b"OFF" * 10, "too long"),
        ("cameras/nowhere/analysis", b"OFF", "no such camera"),
        ("cameras/gate/source", b"ON", "no such command"),
        ("plugins/detector/min_score", b"1.01", "from 0 to 1"),
        ("plugins/detector/min_score", b"nan", "from 0 to 1"),
        ("plugins/detector/min_score", b"\xff", "from 0 to 1"),
        ("plugins/detector/model", b"1", "no running plug-in"),
        ("", b"ON", "no such command"),
        ("plugins/detector/min_score/more", b"0.5", "no such command"),
    ],
)
def test_anything_else_is_ignored_and_logged(
    home: StubHome, topic: str, payload: bytes, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert not sent(home, topic, payload)
    assert reason in caplog.text
    assert (home.paused, home.adjusted) == ([], [])


def test_a_retained_command_is_ignored(home: StubHome) -> None:
    assert not sent(home, "cameras/gate/analysis", b"OFF", retained=True)
    assert home.paused == []


def test_a_flood_is_bounded(home: StubHome) -> None:
    commands = Commands("home", "set/", home, Clock())
    for _ in range(1000):
        commands.add("set/cameras/gate/analysis", b"OFF", False)
    commands.run()
    assert len(home.paused) == 32


def test_of_many_values_the_newest_is_set_and_not_more_often_than_every_two_seconds(home: StubHome) -> None:
    clock = Clock()
    commands = Commands("home", "set/", home, clock)

    def give(value: bytes) -> None:
        commands.add("set/plugins/detector/min_score", value, False)

    give(b"0.5")
    give(b"0.6")
    assert commands.run()
    give(b"0.7")
    give(b"0.8")
    assert not commands.run()
    clock.now += 2.0
    assert commands.run()
    assert [value for _, value in home.adjusted] == [0.6, 0.8]


def test_a_threshold_is_offered_only_to_sinks_that_have_all_cameras_of_its_plugin() -> None:
    cameras = [replace(GATE, chain=("detector", "own")), replace(GATE, name="yard", chain=("detector",))]
    home = StubHome(cameras, [Threshold(name, "min_score", 0.4, 0.0, 1.0) for name in ("detector", "own")])
    selected = SelectedCameras(home, ["gate"])
    assert [one.plugin for one in selected.view().thresholds] == ["own"]
    commands = Commands("home", "set/", selected, Clock())
    commands.add("set/plugins/detector/min_score", b"0.9", False)
    commands.add("set/plugins/own/min_score", b"0.8", False)
    commands.run()
    assert [(one.plugin, value) for one, value in home.adjusted] == [("own", 0.8)]
    assert len(SelectedCameras(home, ["gate", "yard"]).view().thresholds) == 2


def test_while_another_change_is_in_progress_a_value_waits(home: StubHome) -> None:
    commands = Commands("home", "set/", home, Clock())
    home.busy = True
    commands.add("set/plugins/detector/min_score", b"0.5", False)
    assert not commands.run()
    home.busy = False
    assert commands.run()
    assert [value for _, value in home.adjusted] == [0.5]
