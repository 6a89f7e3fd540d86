"""Plug-ins are found by name, and functions for models by role; an invalid one reports what is wrong."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint

import pytest

from sightd.engines.models.catalog import Catalog
from sightd.plugins.api import (
    BOX_READER_ENTRY_POINT_GROUP,
    DRIFT_ENTRY_POINT_GROUP,
    ENTRY_POINT_GROUP,
    ROUTE_ENTRY_POINT_GROUP,
    PluginError,
)
from sightd.plugins.configuration import registry
from sightd.plugins.tracker import Tracker

HERE = "tests.plugins.wrong_plugins"


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[EntryPoint]:
    """Entry points as in an installed environment; tests add to it."""
    entries = [EntryPoint("tracker", "sightd.plugins.tracker:Tracker", ENTRY_POINT_GROUP)]
    monkeypatch.setattr(registry, "entry_points", lambda group: [one for one in entries if one.group == group])
    return entries


def add(installed: list[EntryPoint], name: str, value: str) -> None:
    installed.append(EntryPoint(name, value, ENTRY_POINT_GROUP))


def test_the_package_s_own_plug_ins_are_installed() -> None:
    assert {"detector", "tracker"} <= registry.available().keys()


def test_a_plug_in_is_loaded_by_name(installed: list[EntryPoint]) -> None:
    assert registry.load("tracker") is Tracker


def test_only_the_plug_in_asked_for_is_imported(installed: list[EntryPoint]) -> None:
    add(installed, "wrong", f"{HERE}:OfTomorrow")
    sys.modules.pop(HERE, None)
    assert list(registry.available()) == ["tracker", "wrong"]
    registry.load("tracker")
    assert HERE not in sys.modules


def test_an_unknown_name_is_answered_with_the_one_meant(installed: list[EntryPoint]) -> None:
    with pytest.raises(PluginError, match='no plug-in "traker"; did you mean "tracker"'):
        registry.load("traker")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (f"{HERE}:OfTomorrow", "made for plug-in API version 99"),
        (f"{HERE}:not_a_class", "not a class derived from"),
        (f"{HERE}:CountsByText", r"CountsByText\.metrics is not a tuple of CounterSpec"),
        (f"{HERE}:SaysNothingHappens", "declare `events` and name Events in `produces`, or neither"),
        (f"{HERE}:GivesNoEvents", "declare `events` and name Events in `produces`, or neither"),
        (f"{HERE}:Absent", "cannot be imported: AttributeError"),
        ("no_such_module_anywhere:Plugin", "cannot be imported: ModuleNotFoundError"),
        ("plugins.of_an_earlier_version:Plugin", "since sightd 0.2 it is sightd.plugins"),
    ],
)
def test_a_wrong_plug_in_is_refused_with_the_reason(installed: list[EntryPoint], value: str, message: str) -> None:
    add(installed, "wrong", value)
    with pytest.raises(PluginError, match=message):
        registry.load("wrong")


def test_two_plug_ins_of_one_name_are_refused(installed: list[EntryPoint]) -> None:
    add(installed, "tracker", f"{HERE}:OfTomorrow")
    with pytest.raises(PluginError, match='two packages have a plug-in "tracker"'):
        registry.available()


def test_the_package_s_own_detectors_have_box_readers_and_a_measure_of_drift() -> None:
    for name in ("yolox-nano", "ssd-mobilenet-v2", "yunet"):
        assert registry.box_reader_for(Catalog.load().get(name)) is not None
    assert registry.drift_for("detector") is not None


def test_a_role_for_which_nothing_is_registered_has_nothing() -> None:
    assert registry.box_reader_for(Catalog.load().get("style26")) is None
    assert registry.drift_for("style") is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (f"{HERE}:Absent", 'drift measure "oracle" .* cannot be imported: AttributeError'),
        (HERE, 'drift measure "oracle" .* is not a function'),
    ],
)
def test_a_function_for_a_role_that_cannot_be_used_is_refused_with_the_reason(
    installed: list[EntryPoint], value: str, message: str
) -> None:
    installed.append(EntryPoint("oracle", value, DRIFT_ENTRY_POINT_GROUP))
    with pytest.raises(PluginError, match=message):
        registry.drift_for("oracle")


def test_two_box_readers_for_one_role_are_refused(installed: list[EntryPoint]) -> None:
    installed += [
        EntryPoint("style", f"{HERE}:{name}", BOX_READER_ENTRY_POINT_GROUP) for name in ("OfTomorrow", "not_a_class")
    ]
    with pytest.raises(PluginError, match='two packages have a box reader "style"'):
        registry.box_reader_for(Catalog.load().get("style26"))


def test_owners_of_routes_are_known_without_an_import(installed: list[EntryPoint]) -> None:
    add(installed, "wrong", f"{HERE}:OfTomorrow")
    add(installed, "again", f"{HERE}:OfTomorrow")
    for path, value in (
        ("wrongs", f"{HERE}:OfTomorrow"),
        ("tracks", "sightd.plugins.tracker:Tracker"),
        ("tracks", f"{HERE}:OfTomorrow"),
        ("lost", "sightd.plugins.lost:NotInstalled"),
    ):
        installed.append(EntryPoint(path, value, ROUTE_ENTRY_POINT_GROUP))
    sys.modules.pop(HERE, None)
    assert registry.route_owners() == {
        "wrongs": ["again", "wrong"],
        "tracks": ["tracker", "again", "wrong"],
        "lost": [],
    }
    assert HERE not in sys.modules
