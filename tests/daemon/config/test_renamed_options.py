"""Options under their previous names: accepted for one version, each with a warning that names the new one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sightd.daemon.config.load import LoadedConfig, load_text
from sightd.daemon.config.overrides import parse_override
from sightd.daemon.config.problems import ConfigError, dotted
from tests.daemon.config.examples import FOLDER
from tests.support.stub_plugins import STUBS

CAMERA = "cameras: {a: {source: 'testpattern://'}}\n"
OLD_FILE = """\
x-shared: &shared
  timeout: 5s
  reconnect: {first: 1s, longest: 30s}

cameras:
  door: {source: "rtsp://192.0.2.10/1", <<: *shared}
  yard: {source: "rtsp://192.0.2.11/1", <<: *shared}
  hall:
    source: testpattern://
    reconnect:
      first: 250ms

events:
  keep: ${env:KEEP}
  most: 5000
"""


def loaded(text: str, *settings: str) -> LoadedConfig:
    overrides = [parse_override(setting) for setting in settings]
    return load_text(text, Path("site.yaml"), environ={"KEEP": "7d"}, plugins=STUBS, overrides=overrides)


def error_of(text: str, *settings: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        loaded(text, *settings)
    return caught.value


def test_a_file_of_the_previous_version_means_what_it_meant() -> None:
    config = loaded(OLD_FILE).config
    delays = {name: camera.reconnect for name, camera in config.cameras.items()}
    assert {name: (each.initial_delay, each.max_delay) for name, each in delays.items()} == {
        "door": (1.0, 30.0),
        "yard": (1.0, 30.0),
        "hall": (0.25, 8.0),
    }
    assert (config.events.retention, config.events.max_count) == (7 * 86400.0, 5000)


def test_each_place_in_a_file_of_the_previous_version_causes_one_warning() -> None:
    warnings = loaded(OLD_FILE).warnings
    assert [(warning.line, dotted(warning.path), warning.message) for warning in warnings] == [
        (3, "cameras.door.reconnect.first", "was renamed to initial_delay"),
        (3, "cameras.door.reconnect.longest", "was renamed to max_delay"),
        (11, "cameras.hall.reconnect.first", "was renamed to initial_delay"),
        (14, "events.keep", "was renamed to retention"),
        (15, "events.most", "was renamed to max_count"),
    ]
    assert str(warnings[-1]) == (
        "site.yaml:15:3: events.most: was renamed to max_count\n"
        "    write max_count: the next version does not accept most"
    )


@pytest.mark.parametrize(
    ("text", "path", "current"),
    [
        (CAMERA + "events: {most: 500, max_count: 500}", "events.most", "max_count"),
        (CAMERA + "events: {retention: 1d, keep: 1d}", "events.keep", "retention"),
        (
            "cameras: {a: {source: 'testpattern://', reconnect: {first: 1s, initial_delay: 1s}}}",
            "cameras.a.reconnect.first",
            "initial_delay",
        ),
    ],
)
def test_an_option_under_both_names_is_refused(text: str, path: str, current: str) -> None:
    error = error_of(text)
    (problem,) = error.problems
    assert (dotted(problem.path), problem.message) == (path, f"was renamed to {current}, and both names are given")
    assert problem.line > 0
    assert not error.warnings


def test_an_invalid_value_is_reported_at_its_line_beside_the_warning() -> None:
    error = error_of(CAMERA + "events:\n  most: 5\n")
    assert [(item.line, item.column, dotted(item.path)) for item in error.problems] == [(3, 9, "events.max_count")]
    assert [(item.line, dotted(item.path)) for item in error.warnings] == [(3, "events.most")]


def test_suggestions_and_the_schema_know_only_the_current_names() -> None:
    (problem,) = error_of(CAMERA + "events: {max_cuont: 500}").problems
    assert 'did you mean "max_count"?' in problem.message
    assert problem.hint == "known options: max_count, path, retention"
    definitions = json.loads((FOLDER / "sightd.schema.json").read_text())["$defs"]
    assert set(definitions["Events"]["properties"]) == {"path", "retention", "max_count"}
    assert set(definitions["Reconnect"]["properties"]) == {"initial_delay", "max_delay"}


@pytest.mark.parametrize("setting", ["events.most=700", "events={most: 700}"])
def test_an_override_may_use_the_previous_name_and_is_warned_of_as_such(setting: str) -> None:
    found = loaded(CAMERA + "events: {max_count: 500}", setting)
    assert found.config.events.max_count == 700
    (warning,) = found.warnings
    assert (warning.file, warning.line, dotted(warning.path)) == ("--set", 0, "events.most")
    assert warning.message == "was renamed to max_count"


@pytest.mark.parametrize("setting", ["cameras.a.reconnect.longest=9s", "cameras.a={reconnect: {longest: 9s}}"])
def test_an_override_of_a_camera_may_use_the_previous_name(setting: str) -> None:
    found = loaded(CAMERA, setting, "cameras.a.source=testpattern://")
    assert found.config.cameras["a"].reconnect.max_delay == 9.0
    assert [dotted(warning.path) for warning in found.warnings] == ["cameras.a.reconnect.longest"]


def test_an_override_replaces_what_the_file_says_under_the_previous_name() -> None:
    found = loaded(CAMERA + "events: {most: 500}", "events.max_count=700")
    assert found.config.events.max_count == 700
    assert [(warning.file, warning.line) for warning in found.warnings] == [("site.yaml", 2)]


def test_an_override_with_both_names_is_refused() -> None:
    (problem,) = error_of(CAMERA, "events={most: 500, max_count: 500}").problems
    assert (problem.file, dotted(problem.path)) == ("--set", "events.most")


@pytest.mark.parametrize(
    ("text", "path"),
    [("first: 1", "first"), ("log: {most: 1}", "log.most"), ("plugins: {finder: {keep: 1}}", "plugins.finder.keep")],
)
def test_the_previous_names_mean_nothing_elsewhere(text: str, path: str) -> None:
    (problem,) = error_of(CAMERA + text).problems
    assert dotted(problem.path) == path
    assert problem.message.startswith("unknown option")
