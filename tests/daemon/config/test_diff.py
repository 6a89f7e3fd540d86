"""The diff of two configurations finds exactly what differs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from sightd.daemon.config.diff import ConfigDiff, diff
from sightd.daemon.config.load import LoadedConfig, load_text
from tests.support.stub_plugins import STUBS

BASE: dict[str, Any] = {
    "cameras": {"a": {"source": "a.mp4"}, "b": {"source": "b.mp4", "chain": ["finder"]}, "c": {"source": "c.mp4"}},
    "chain": ["finder", "follower"],
    "plugins": {"finder": {"every": 2}},
}

SECOND = {"finder": {"every": 2}, "second": {"use": "finder"}}
WITH_SECOND = {"source": "a.mp4", "chain": ["finder", "second", "follower"]}


def loaded(**sections: Any) -> LoadedConfig:
    return load_text(yaml.safe_dump({**BASE, **sections}), Path("site.yaml"), environ={}, plugins=STUBS)


def cameras(**changed: Any) -> dict[str, Any]:
    """Returns the cameras of the base with changes; None removes one."""
    found = {**BASE["cameras"], **changed}
    return {name: options for name, options in found.items() if options is not None}


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({}, ConfigDiff()),
        ({"cameras": cameras(d={"source": "d.mp4"})}, ConfigDiff(added=("d",))),
        ({"cameras": cameras(a=None)}, ConfigDiff(removed=("a",))),
        ({"cameras": cameras(a={"source": "a.mp4", "enabled": False})}, ConfigDiff(removed=("a",))),
        ({"cameras": cameras(a={"source": "other.mp4"})}, ConfigDiff(changed=("a",))),
        ({"cameras": cameras(a={"source": "a.mp4", "chain": ["finder", "follower"]})}, ConfigDiff()),
        ({"cameras": cameras(a={"source": "a.mp4", "output": {"crf": 20}})}, ConfigDiff(changed=("a",))),
        ({"output": {"crf": 20}}, ConfigDiff(changed=("a", "b", "c"))),
        ({"render": {"trails": False}}, ConfigDiff(changed=("a", "b", "c"))),
        ({"chain": ["finder"]}, ConfigDiff(changed=("a", "c"), closed=("follower",))),
        ({"plugins": {"finder": {"every": 3}}}, ConfigDiff(changed=("a", "b", "c"), replaced=("finder",))),
        (
            {"plugins": {"finder": {"every": 2}, "follower": {"every": 2}}},
            ConfigDiff(changed=("a", "c"), replaced=("follower",)),
        ),
        ({"plugins": SECOND}, ConfigDiff()),
        ({"plugins": SECOND, "cameras": cameras(a=WITH_SECOND)}, ConfigDiff(changed=("a",), opened=("second",))),
        ({"rtsp": {"port": 9554}, "engines": {"device": "cuda:1"}}, ConfigDiff(fixed=("rtsp", "engines"))),
        ({"log": {"level": "debug"}}, ConfigDiff()),
    ],
)
def test_only_what_is_different_is_named(sections: dict[str, Any], expected: ConfigDiff) -> None:
    assert diff(loaded(), loaded(**sections)) == expected


def test_a_change_that_takes_a_restart_is_none_of_what_runs() -> None:
    assert not diff(loaded(), loaded(rtsp={"port": 9554}))
    assert diff(loaded(), loaded(output={"crf": 20}))


def test_changes_are_reported_in_words() -> None:
    told = str(ConfigDiff(added=("d",), changed=("a", "b"), closed=("follower",)))
    assert told == "cameras added: d; cameras changed: a, b; plug-ins closed: follower"
    assert str(ConfigDiff()) == "nothing changed"
