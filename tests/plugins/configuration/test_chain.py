"""A chain is rejected if a plug-in's requirements are not produced before it."""

from __future__ import annotations

from typing import ClassVar

import pytest

from sightd.plugins.api import AnyPlugin, Detections, FrameOverride, Plugin, PluginConfig, PluginError
from sightd.plugins.configuration.registry import check_chain
from sightd.plugins.tracker import Tracker


class Detector(Plugin[PluginConfig]):
    produces: ClassVar[frozenset[type]] = frozenset({Detections})


class Painter(Plugin[PluginConfig]):
    produces: ClassVar[frozenset[type]] = frozenset({FrameOverride})


class Recorder(Plugin[PluginConfig]):
    uses: ClassVar[frozenset[type]] = frozenset({FrameOverride, Detections})


CONFIGURED: dict[str, type[AnyPlugin]] = {
    "detector": Detector,
    "tracker": Tracker,
    "style": Painter,
    "recorder": Recorder,
}


def fault_of(names: list[str]) -> str:
    try:
        check_chain(names, CONFIGURED)
    except PluginError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("names", [[], ["detector"], ["detector", "tracker"], ["style", "detector", "tracker"]])
def test_a_chain_that_fits_passes(names: list[str]) -> None:
    assert fault_of(names) == ""


@pytest.mark.parametrize("names", [["tracker"], ["tracker", "detector"], ["style", "tracker"]])
def test_what_is_missing_is_said_with_the_plug_in_that_gives_it(names: list[str]) -> None:
    with pytest.raises(PluginError, match=r"^tracker requires Detections; put detector before it$"):
        check_chain(names, CONFIGURED)


def test_what_no_configured_plug_in_gives_is_said() -> None:
    with pytest.raises(PluginError, match="tracker requires Detections, which no configured plug-in produces"):
        check_chain(["tracker"], {"tracker": Tracker})


def test_a_name_that_is_not_configured_is_said_with_the_one_meant() -> None:
    with pytest.raises(PluginError, match='"detektor", which is not configured; did you mean "detector"'):
        check_chain(["detektor"], CONFIGURED)


def test_all_faults_are_said_at_once() -> None:
    with pytest.raises(PluginError) as refused:
        check_chain(["tracker", "style", "style", "absent"], CONFIGURED)
    assert len(str(refused.value).splitlines()) == 3


@pytest.mark.parametrize(
    "names", [["recorder"], ["detector", "recorder"], ["style", "detector", "recorder", "tracker"]]
)
def test_what_a_plug_in_uses_may_be_missing(names: list[str]) -> None:
    assert fault_of(names) == ""


def test_what_a_plug_in_uses_must_not_come_after_it() -> None:
    expected = ["recorder uses Detections; put detector before it", "recorder uses FrameOverride; put style before it"]
    assert fault_of(["recorder", "detector", "style"]).splitlines() == expected
