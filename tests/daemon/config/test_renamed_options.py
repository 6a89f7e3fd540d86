"""Options under their previous names: accepted for one version, each with a warning that names the new one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sightd.daemon.config.load import LoadedConfig, load_text
from sightd.daemon.config.overrides import Override, parse_override
from sightd.daemon.config.plugin_entries import installed_plugins, plugin_configs
from sightd.daemon.config.problems import ConfigError, dotted
from sightd.plugins.api import PluginConfig
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
    assert problem.hint == "known options: max_count, path, retention, rules, snapshots"
    definitions = json.loads((FOLDER / "sightd.schema.json").read_text())["$defs"]
    assert set(definitions["Events"]["properties"]) == {"path", "retention", "max_count", "rules", "snapshots"}
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


OLD_PLUGINS = """\
cameras: {a: {source: 'testpattern://', chain: [detector, tracker, classifier, cars, painting, face]}}
plugins:
  detector: {}
  tracker: {max_carry: 2s}
  classifier:
    of: picture
    most: 7
    smooth: 3s
  cars: {use: classifier, of: objects, classes: [car]}
  painting: {use: style, steady: 0.5, change: 9s, style: [starry, delft]}
  face: {max_looks: 9}
"""


def with_plugins(text: str, *overrides: Override) -> LoadedConfig:
    return load_text(text, Path("site.yaml"), environ={}, plugins=installed_plugins(), overrides=overrides)


def test_plugin_options_of_the_previous_version_mean_what_they_meant() -> None:
    found = with_plugins(OLD_PLUGINS).plugin_configs
    assert {name: config.model_dump(exclude_unset=True) for name, config in found.items() if name != "detector"} == {
        "tracker": {"max_prediction": 2.0},
        "classifier": {"target": "frame", "max_objects": 7, "smoothing_time": 3.0},
        "cars": {"use": "classifier", "target": "objects", "classes": ["car"]},
        "painting": {"use": "style", "smoothing": 0.5, "interval": 9.0, "style": ["starry", "delft"]},
        "face": {"max_embeddings": 9},
    }


def test_each_plugin_option_and_value_of_the_previous_version_causes_a_warning() -> None:
    warnings = with_plugins(OLD_PLUGINS).warnings
    assert [(one.line, one.column, dotted(one.path), one.message) for one in warnings] == [
        (4, 13, "plugins.tracker.max_carry", "was renamed to max_prediction"),
        (6, 5, "plugins.classifier.of", "was renamed to target"),
        (6, 9, "plugins.classifier.target", "picture was renamed to frame"),
        (7, 5, "plugins.classifier.most", "was renamed to max_objects"),
        (8, 5, "plugins.classifier.smooth", "was renamed to smoothing_time"),
        (9, 27, "plugins.cars.of", "was renamed to target"),
        (10, 26, "plugins.painting.steady", "was renamed to smoothing"),
        (10, 39, "plugins.painting.change", "was renamed to interval"),
        (11, 10, "plugins.face.max_looks", "was renamed to max_embeddings"),
    ]
    assert warnings[2].hint == "write frame: the next version does not accept picture"


def test_a_plugin_option_under_both_names_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        with_plugins(CAMERA + "plugins: {classifier: {most: 3, max_objects: 3}}")
    (problem,) = caught.value.problems
    assert (dotted(problem.path), problem.hint) == ("plugins.classifier.most", "use only max_objects")


@pytest.mark.parametrize(
    "overrides",
    [
        [Override(("plugins", "cars", "use"), "classifier"), Override(("plugins", "cars", "of"), "picture")],
        [Override(("plugins", "cars"), {"use": "classifier", "of": "picture"})],
        [Override(("plugins", "cars"), {"use": "classifier", "target": "picture"})],
    ],
)
def test_overrides_of_plugin_options_may_use_previous_names(overrides: list[Override]) -> None:
    found = with_plugins(CAMERA, *overrides)
    assert found.plugin_configs["cars"].model_dump(exclude_unset=True) == {"use": "classifier", "target": "frame"}
    (value,) = [one for one in found.warnings if one.message == "picture was renamed to frame"]
    assert (value.file, value.line, dotted(value.path)) == ("--set", 0, "plugins.cars.target")


def test_previous_names_of_a_plugin_mean_nothing_to_another() -> None:
    with pytest.raises(ConfigError) as caught:
        with_plugins(CAMERA + "plugins: {tracker: {most: 3}, absent: {most: 3}, style: 3}")
    assert [(dotted(one.path), one.message.split()[0]) for one in caught.value.problems] == [
        ("plugins.tracker.most", "unknown"),
        ("plugins.absent", "no"),
        ("plugins.style", "is"),
    ]


@pytest.mark.parametrize(("name", "options"), plugin_configs(others=False).items())
def test_plugins_rename_options_that_they_no_longer_have_to_those_that_they_have(
    name: str, options: type[PluginConfig]
) -> None:
    assert set(options.renamed_options.values()) | set(options.renamed_values) <= options.model_fields.keys()
    assert not set(options.renamed_options) & options.model_fields.keys()
