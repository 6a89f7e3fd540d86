"""The diff of two configurations finds exactly what differs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from sightd.daemon.config.diff import ConfigDiff, diff, with_fixed_sections
from sightd.daemon.config.load import LoadedConfig, load_text
from sightd.daemon.config.plugin_entries import installed_plugins
from tests.support.exports import write_export
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
        ({"delivery": {"sinks": {"out": {"type": "jsonl"}}}}, ConfigDiff(sinks=("out",))),
        ({"events": {"rules": {"all": {"kinds": ["*"]}}}}, ConfigDiff(event_rules=("all",))),
        ({"events": {"retention": "1d"}}, ConfigDiff(fixed=("events",))),
    ],
)
def test_only_what_is_different_is_named(sections: dict[str, Any], expected: ConfigDiff) -> None:
    assert diff(loaded(), loaded(**sections)) == expected


def test_a_change_that_takes_a_restart_is_none_of_what_runs() -> None:
    assert not diff(loaded(), loaded(rtsp={"port": 9554}))
    assert diff(loaded(), loaded(output={"crf": 20}))


def test_rules_of_events_are_applied_although_other_options_of_events_take_a_restart() -> None:
    running, wanted = loaded(), loaded(events={"retention": "1d", "rules": {"all": {"kinds": ["*"]}}})
    change = diff(running, wanted)
    assert (change.fixed, change.event_rules) == (("events",), ("all",))
    events = with_fixed_sections(wanted.config, running.config, change.fixed).events
    assert (events.retention, list(events.rules)) == (30 * 86400, ["all"])


def detector(folder: Path, **options: Any) -> LoadedConfig:
    """Returns a configuration with a detector of one's own file, and a camera without it."""
    cameras = {"a": {"source": "a.mp4", "chain": ["detector"]}, "b": {"source": "b.mp4", "chain": []}}
    text = yaml.safe_dump({"cameras": cameras, "plugins": {"detector": options}})
    return load_text(text, folder / "site.yaml", environ={}, plugins=installed_plugins())


def test_a_plug_in_takes_over_its_live_options_and_no_camera_starts_again(tmp_path: Path) -> None:
    before = detector(tmp_path, min_score=0.4)
    adjusted = ConfigDiff(adjusted=("detector",))
    assert diff(before, detector(tmp_path, min_score=0.5, classes=["person"])) == adjusted
    replaced = ConfigDiff(changed=("a",), replaced=("detector",))
    assert diff(before, detector(tmp_path, min_score=0.5, every=2)) == replaced
    assert diff(before, detector(tmp_path, min_score=0.5, isolate=True)) == replaced
    assert str(adjusted) == "plug-ins adjusted: detector"
    assert adjusted


@pytest.mark.parametrize("changed", ["best.onnx", "weights.data", "names.txt"])
def test_a_plug_in_whose_model_was_replaced_under_the_same_name_is_replaced(tmp_path: Path, changed: str) -> None:
    outputs = {"output0": np.zeros((7, 126), np.float32)}
    write_export(tmp_path / "best.onnx", outputs, outside="weights.data")
    (tmp_path / "names.txt").write_text("one\ntwo\nsix\n")
    options = {"model": {"file": "best.onnx", "labels": "names.txt", "head": "yolo"}}
    before = detector(tmp_path, **options)
    assert diff(before, detector(tmp_path, **options)) == ConfigDiff()
    file = tmp_path / changed
    content, times = file.read_bytes(), file.stat()
    file.write_bytes(content.replace(b"six", b"ten"))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))  # as `cp --preserve` and `rsync --times` leave it
    after = detector(tmp_path, **options)
    assert diff(before, after) == ConfigDiff(changed=("a",), replaced=("detector",))


def test_changes_are_reported_in_words() -> None:
    told = str(ConfigDiff(added=("d",), changed=("a", "b"), closed=("follower",)))
    assert told == "cameras added: d; cameras changed: a, b; plug-ins closed: follower"
    assert str(ConfigDiff()) == "nothing changed"
