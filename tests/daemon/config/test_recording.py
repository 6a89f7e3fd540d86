"""What is recorded of each camera, and which cameras must not be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from sightd.daemon.config.load import LoadedConfig, load_text
from sightd.daemon.config.plugin_entries import PluginSource
from sightd.daemon.config.problems import ConfigError
from sightd.daemon.config.recording import rules_of
from sightd.plugins.configuration.registry import check_chain
from tests.daemon.config.test_redacting_chains import CLASSES

_CLIPS = {"kinds": ["zone.*"], "pre": "5s"}


def loaded(camera: dict[str, Any] | None = None, **sections: Any) -> LoadedConfig:
    gate = {"source": "rtsp://camera/1", **(camera or {})}
    text = yaml.safe_dump({"cameras": {"gate": gate}, "recording": {"clips": _CLIPS}, **sections})
    return load_text(text, Path("site.yaml"), environ={}, plugins=PluginSource(CLASSES.__getitem__, check_chain))


def problems(camera: dict[str, Any] | None = None, **sections: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(camera, **sections)
    return str(caught.value)


def test_a_camera_takes_the_rules_of_the_file_and_changes_single_ones() -> None:
    config = loaded({"recording": {"post": "3s", "kinds": ["line.crossed"]}}).config
    rules = rules_of(config, config.cameras["gate"])
    assert rules is not None
    assert rules.clips is not None
    assert rules.segments is None
    assert (rules.clips.kinds, rules.clips.pre, rules.clips.post, rules.pre) == (["line.crossed"], 5.0, 3.0, 5.0)


def test_nothing_is_recorded_unless_asked_for() -> None:
    config = loaded(recording={}).config
    assert rules_of(config, config.cameras["gate"]) is None
    config = loaded({"recording": {"enabled": False}}).config
    assert rules_of(config, config.cameras["gate"]) is None


def test_a_camera_whose_chain_redacts_is_refused_with_what_to_do() -> None:
    redacting: dict[str, Any] = {"chain": ["detector", "hider"]}
    message = problems(**redacting)
    assert "cameras.gate: cannot be recorded as received: hider of its chain redacts" in message
    assert "allow_unredacted: true" in message
    assert loaded({"recording": {"enabled": False}}, **redacting)
    assert loaded({"recording": {"allow_unredacted": True}}, **redacting)
    assert loaded(recording={"clips": _CLIPS, "allow_unredacted": True}, **redacting)
    assert loaded(plugins={"hider": {"hide": False}}, **redacting)


def test_a_camera_may_be_stricter_than_the_file() -> None:
    redacting: dict[str, Any] = {
        "chain": ["detector", "hider"],
        "recording": {"clips": _CLIPS, "allow_unredacted": True},
    }
    assert "redacts" in problems({"recording": {"allow_unredacted": False}}, **redacting)


def test_a_test_pattern_cannot_be_recorded_as_received() -> None:
    message = problems({"source": "testpattern://"})
    assert "cannot be recorded as received: a test pattern" in message
    assert "recording: {source: annotated}" in message


@pytest.mark.parametrize("camera", [{"chain": ["detector", "hider"]}, {"source": "testpattern://"}])
def test_what_viewers_see_can_be_recorded_of_every_camera(camera: dict[str, Any]) -> None:
    own = loaded({**camera, "recording": {"source": "annotated"}})
    assert loaded(camera, recording={"clips": _CLIPS, "source": "annotated"})
    rules = rules_of(own.config, own.config.cameras["gate"])
    assert rules is not None
    assert rules.annotated
    stricter = {**camera, "recording": {"source": "received"}}
    assert "as received" in problems(stricter, recording={"clips": _CLIPS, "source": "annotated"})


def test_what_viewers_see_has_no_sound_and_asking_for_it_is_warned_about() -> None:
    everywhere = {"clips": _CLIPS, "source": "annotated"}
    one = loaded(recording=everywhere)
    rules = rules_of(one.config, one.config.cameras["gate"])
    assert rules is not None
    assert not rules.audio
    assert not one.warnings
    for found in (
        loaded(recording={**everywhere, "audio": True}),
        loaded({"recording": {"audio": True}}, recording=everywhere),
    ):
        (warning,) = found.warnings
        assert "recording.audio: has no effect" in str(warning)
    door = {"source": "rtsp://camera/2", "recording": {"source": "annotated"}}
    gate = {"source": "rtsp://camera/1"}
    recorded = {"clips": _CLIPS, "audio": True}
    assert not loaded(cameras={"gate": gate, "door": door}, recording=recorded).warnings, "the other one has sound"


def test_options_that_do_not_fit_together_are_refused() -> None:
    assert "pre (60 s) is not less than max_length (60 s)" in problems({"recording": {"pre": "60s"}})
    assert "has no effect" in problems({"recording": {"pre": "3s"}}, recording={})
    assert "recording.clips: requires kinds or rules" in problems(recording={"clips": {"kinds": []}})


def test_segments_are_recorded_with_or_without_clips_and_differ_by_camera() -> None:
    segments = {"retention": "5d"}
    own = {"recording": {"segments": {"mode": "activity", "kinds": ["zone.*"]}}}
    config = loaded(own, recording={"segments": segments}).config
    rules = rules_of(config, config.cameras["gate"])
    assert rules is not None
    assert rules.clips is None
    assert rules.segments is not None
    assert (rules.segments.mode, rules.segments.retention) == ("activity", 5 * 86400)
    config = loaded({"recording": {"segments": {"enabled": False}}}, recording={"segments": segments}).config
    assert rules_of(config, config.cameras["gate"]) is None


def test_options_of_segments_that_do_not_fit_together_are_refused() -> None:
    assert "mode activity requires kinds" in problems(recording={"segments": {"mode": "activity"}})
    assert "recording.segments is missing" in problems({"recording": {"segments": {"mode": "continuous"}}})
    assert "recording.clips is missing" in problems({"recording": {"pre": "3s"}}, recording={"segments": {}})
    assert "redacts" in problems({"chain": ["detector", "hider"]}, recording={"segments": {}})
