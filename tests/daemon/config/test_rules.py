"""`events.rules`: what is wrong with a rule is reported with its line and what would be right."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from sightd.daemon.config.load import LoadedConfig, load_text
from sightd.daemon.config.plugin_entries import PluginSource
from sightd.daemon.config.problems import ConfigError, dotted
from sightd.plugins.api import Events, EventSpec, Plugin
from sightd.plugins.configuration.registry import check_chain
from sightd.plugins.zones.config import ZonesConfig
from tests.support.stub_plugins import STUBS

CORNERS = [[0, 0], [1, 0], [1, 1]]


class Zones(Plugin[ZonesConfig]):
    """Has the options of the real one, and says which facts its events have."""

    Config: ClassVar[type[ZonesConfig]] = ZonesConfig
    produces: ClassVar[frozenset[type]] = frozenset({Events})
    events: ClassVar[tuple[EventSpec, ...]] = (
        EventSpec("zone.entered", "E.", facts=("zone", "class", "track", "person")),
        EventSpec("zone.left", "L.", facts=("zone", "class", "track", "person", "seconds")),
        EventSpec("zone.empty", "E.", facts=("zone", "seconds")),
        EventSpec("line.crossed", "C.", facts=("line", "class", "track", "person", "direction")),
    )


class Bell(Plugin[Any]):
    """Does not say which facts its events have."""

    produces: ClassVar[frozenset[type]] = frozenset({Events})
    events: ClassVar[tuple[EventSpec, ...]] = (
        EventSpec("bell.rings", "R."),
        EventSpec("bell.hums", "H.", by_rule=True),
    )


PLUGINS = PluginSource(
    lambda name: {"zones": Zones, "bell": Bell}.get(name) or STUBS.find(name), check_chain, ("zones", "bell")
)
BASE: dict[str, Any] = {
    "cameras": {"gate": {"source": "a.mp4"}, "hall": {"source": "b.mp4", "chain": ["bell"]}},
    "chain": ["zones"],
    "plugins": {"zones": {"cameras": {"gate": {"zones": {"yard": {"corners": CORNERS}}}}}},
}


def loaded(rules: dict[str, Any], **sections: Any) -> LoadedConfig:
    text = yaml.safe_dump({**BASE, "events": {"rules": rules}, **sections})
    return load_text(text, Path("site.yaml"), environ={}, plugins=PLUGINS)


def problems(rule: dict[str, Any], **sections: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded({"r": rule}, **sections)
    assert all(problem.line for problem in caught.value.problems)
    return [f"{dotted(problem.path)}: {problem.message}" for problem in caught.value.problems]


def warnings(rule: dict[str, Any], **sections: Any) -> list[str]:
    found = loaded({"r": rule}, **sections).warnings
    return [f"{dotted(one.path)}: {one.message}" for one in found if one.path[:1] == ("events",)]


@pytest.mark.parametrize(
    "rule",
    [
        {"kinds": ["*"]},
        {"kinds": ["zone.*"], "classes": ["person"]},
        {"kinds": ["zone.left"], "at_least": {"seconds": 60}, "zones": ["yard"], "cameras": ["gate"]},
        {"kinds": ["zone.entered"], "persons": ["Anna", "unknown"], "cooldown": "1m", "per": "person"},
        {"kinds": ["zone.empty"], "persons": ["unknown"]},
        {"kinds": ["bell.rings"], "min_score": 0.5, "at_least": {"loudness": 3}, "cameras": ["hall"]},
        {"kinds": ["zone.*", "line.*"], "classes": ["dog"], "active": "sat", "timezone": "Europe/Berlin"},
    ],
)
def test_a_rule_that_can_select_events_is_accepted(rule: dict[str, Any]) -> None:
    assert warnings(rule) == []


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"kinds": ["zone.enters"]},
         'kinds[0]: no plug-in in a chain of this configuration reports zone.enters; did you mean "zone.entered"?'),
        ({"kinds": ["face.*"]}, "kinds[0]: no plug-in in a chain of this configuration reports face.*"),
        ({"kinds": ["bell.rings"], "cameras": ["gate"]},
         "kinds[0]: no plug-in in the chain of the rule's cameras reports bell.rings"),
        ({"kinds": ["camera.down"]},
         "kinds[0]: is an event of sightd itself, which is always stored; rules are about those of plug-ins"),
        ({"kinds": ["zone.*"], "cameras": ["gat"]}, 'cameras[0]: there is no camera gat; did you mean "gate"?'),
        ({"kinds": ["zone.*"], "min_score": 0.5},
         "min_score: can never hold: events of the rule's kinds have no fact score"),
        ({"kinds": ["zone.left"], "at_least": {"second": 60}},
         "at_least.second: can never hold: events of the rule's kinds have no fact second; did you mean \"seconds\"?"),
        ({"kinds": ["line.crossed"], "zones": ["yard"]},
         "zones: can never hold: events of the rule's kinds have no fact zone"),
        ({"kinds": ["zone.*", "line.*"], "zones": ["yard"], "lines": ["fence"]},
         ": can never select an event: those of its kinds do not have zone and line together"),
        ({"kinds": ["zone.entered", "zone.empty"], "classes": ["person"]},
         "kinds[1]: never meets the rule's conditions: its events have no fact class"),
        ({"kinds": ["zone.*"], "cooldown": "1m", "per": "line"},
         "per: has no effect: events of the rule's kinds have no fact line"),
        ({"kinds": ["zone.*"], "per": "zone"}, "per: has no effect without cooldown"),
        ({"kinds": ["zone.*"], "timezone": "UTC"}, "timezone: has no effect without active"),
        ({"kinds": ["zone.*"], "active": "mon-fry"}, 'active: "fry" is no day; write one of mon, tue, wed, thu, fri, '
         "sat, sun"),
        ({"kinds": ["zone.*"], "active": "sat", "timezone": "Europe/Berlim"},
         'timezone: "Europe/Berlim" is no time zone; write it like "Europe/Berlin"'),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_mean_what_it_says_is_refused(rule: dict[str, Any], expected: str) -> None:
    dot = "" if expected.startswith(":") else "."
    assert problems(rule) == [f"events.rules.r{dot}{expected}"]


def test_one_error_does_not_hide_others() -> None:
    wrong: dict[str, Any] = {"kinds": ["zone.*"], "cooldown": 30}
    with pytest.raises(ConfigError) as caught:
        loaded({"first": wrong, "second": {"kinds": ["zone.enters"]}}, log={"level": "loud"})
    paths = [dotted(problem.path) for problem in caught.value.problems]
    assert sorted(paths) == ["events.rules.first.cooldown", "events.rules.second.kinds[0]", "log.level"]


def test_kinds_are_not_judged_if_a_plug_in_of_a_chain_is_unknown() -> None:
    [problem] = problems({"kinds": ["face.*"]}, chain=["zones", "faec"])
    assert problem.startswith("chain[1]: ")


def test_a_zone_that_is_not_configured_is_a_warning_because_it_may_come_through_the_api() -> None:
    rule = {"kinds": ["zone.*"], "zones": ["yrd"], "cameras": ["gate"]}
    assert warnings(rule) == ['events.rules.r.zones[0]: no zone yrd is configured; did you mean "yard"?']
    assert warnings(rule, plugins={"zones": {}}) == [], "all zones come through the API"


def test_a_kind_that_is_stored_only_by_a_rule_is_a_warning_where_it_is_chosen_without_one() -> None:
    sections = {
        "delivery": {"sinks": {"lines": {"type": "jsonl", "kinds": ["bell.rings", "bell.hums", "bell.*"]}}},
        "recording": {"clips": {"kinds": ["bell.hums"]}},
    }
    found = [f"{dotted(one.path)}: {one.message}" for one in loaded({}, **sections).warnings]
    message = "bell.hums is stored only if a rule selects it, and no rule is about it"
    assert sorted(one for one in found if "rule" in one) == [
        f"delivery.sinks.lines.kinds[1]: {message}",
        f"recording.clips.kinds[0]: {message}",
    ]
    found = [one.message for one in loaded({"r": {"kinds": ["bell.*"]}}, **sections).warnings]
    assert not [one for one in found if "rule" in one]


def test_a_sink_that_names_an_unknown_rule_is_refused() -> None:
    rule = {"kinds": ["zone.*"]}
    sinks = {"lines": {"type": "jsonl", "rules": ["r", "rr"]}}
    expected = 'delivery.sinks.lines.rules[1]: there is no rule rr; did you mean "r"?'
    assert problems(rule, delivery={"sinks": sinks}) == [expected]


def test_recordings_that_name_an_unknown_rule_are_refused() -> None:
    cameras = {"gate": {"source": "a.mp4", "recording": {"rules": ["s"], "segments": {"rules": ["t"]}}}}
    recording = {"clips": {"rules": ["r", "u"]}, "segments": {"rules": ["v"]}}
    assert problems({"kinds": ["zone.*"]}, cameras=cameras, recording=recording) == [
        f"{at}: there is no rule {name}"
        for at, name in (
            ("cameras.gate.recording.rules[0]", "s"),
            ("cameras.gate.recording.segments.rules[0]", "t"),
            ("recording.clips.rules[1]", "u"),
            ("recording.segments.rules[0]", "v"),
        )
    ]
