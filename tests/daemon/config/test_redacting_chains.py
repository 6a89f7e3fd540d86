"""A plug-in that redacts what another one finds is refused in a chain in which that one does not look at everything."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from sightd.daemon.config.load import LoadedConfig, load_text
from sightd.daemon.config.plugin_entries import PluginSource
from sightd.daemon.config.problems import ConfigError
from sightd.plugins.api import AnyPlugin, Detections, Plugin, PluginConfig, PrivacyMask, Tracks
from sightd.plugins.configuration.registry import check_chain
from sightd.plugins.detector import Detector
from sightd.plugins.face.plugin import FaceRecogniser
from sightd.plugins.tracker import Tracker


class HiderConfig(PluginConfig):
    hide: bool = True


class Hider(Plugin[HiderConfig]):
    """Hides cars, as a plug-in of somebody else."""

    Config: ClassVar[type[PluginConfig]] = HiderConfig
    requires: ClassVar[frozenset[type]] = frozenset({Detections})
    produces: ClassVar[frozenset[type]] = frozenset({PrivacyMask})

    @property
    def redacts(self) -> bool:
        return bool(self.config.hide)


class TrackHider(Hider):
    requires: ClassVar[frozenset[type]] = frozenset()
    uses: ClassVar[frozenset[type]] = frozenset({Tracks})


class TrackRequirer(Hider):
    requires: ClassVar[frozenset[type]] = frozenset({Tracks})


class BrokenConfig(PluginConfig):
    def overlooks(self) -> list[str]:
        raise RuntimeError("a secret")


class Broken(Plugin[BrokenConfig]):
    Config: ClassVar[type[PluginConfig]] = BrokenConfig
    produces: ClassVar[frozenset[type]] = frozenset({Detections})


class Unmade(Hider):
    def __init__(self, config: HiderConfig) -> None:
        raise RuntimeError("not on this machine")


CLASSES: dict[str, type[AnyPlugin]] = {
    "detector": Detector, "tracker": Tracker, "face": FaceRecogniser,
    "hider": Hider, "trackhider": TrackHider, "trackrequirer": TrackRequirer,
    "broken": Broken, "unmade": Unmade,
}  # fmt: skip


def loaded(chain: list[str], **plugins: dict[str, Any]) -> LoadedConfig:
    text = yaml.safe_dump({"cameras": {"a": {"source": "testpattern://"}}, "chain": chain, "plugins": plugins})
    return load_text(text, Path("site.yaml"), environ={}, plugins=PluginSource(CLASSES.__getitem__, check_chain))


@pytest.mark.parametrize("chain", [["detector", "hider"], ["detector", "tracker", "trackhider"]])
@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("gate", "activity"), ("gate", {"confirm_every": "1s"}), ("look", "regions"),
        ("only_inside", [[[0, 0], [1, 0], [1, 1]]]), ("ignore", [[[0, 0], [1, 0], [1, 1]]]),
    ],
)  # fmt: skip
def test_objects_that_were_not_looked_for_cannot_be_redacted(chain: list[str], option: str, value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(chain, detector={option: value})
    (problem,) = caught.value.problems
    assert problem.path == ("plugins", "detector", option)
    assert problem.message.startswith(f"cannot be combined with {chain[-1]}, which redacts what detector finds")
    assert f"remove {option}, or give the chain with {chain[-1]} a plug-in of its own" in problem.hint


@pytest.mark.parametrize("skipping", ["detector", "tracker"])
@pytest.mark.parametrize(("option", "value"), [("every", 2), ("max_fps", 5)])
def test_frames_must_not_be_skipped_if_their_results_are_only_used(skipping: str, option: str, value: object) -> None:
    """`TrackHider` runs on every frame, also with tracks that are only predicted, among which nobody is new."""
    with pytest.raises(ConfigError) as caught:
        loaded(["detector", "tracker", "trackhider"], **{skipping: {option: value}})
    assert [problem.path for problem in caught.value.problems] == [("plugins", skipping, option)]


def test_a_check_that_fails_is_a_problem_of_the_plugin() -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(["broken", "hider"])
    (problem,) = caught.value.problems
    assert problem.path == ("plugins", "broken")
    assert problem.message == "its options cannot be checked: RuntimeError in BrokenConfig.overlooks"


@pytest.mark.parametrize(
    ("chain", "plugins"),
    [
        (["detector", "hider"], {}),
        (["detector", "hider"], {"detector": {"every": 2}}),
        (["detector", "tracker", "trackrequirer"], {"detector": {"max_fps": 5}, "tracker": {"every": 2}}),
        (["detector", "hider"], {"detector": {"look": "tiles"}}),
        (["detector", "hider"], {"detector": {"gate": "activity"}, "hider": {"hide": False}}),
        (["detector", "face"], {"detector": {"gate": "activity"}, "face": {"blur": "all"}}),
        (["detector", "tracker"], {"detector": {"gate": "activity"}}),
        (["whole", "hider"], {"whole": {"use": "detector"}, "detector": {"gate": "activity"}}),
        (["detector", "unmade"], {"detector": {"gate": "activity"}}),
    ],
)
def test_other_chains_are_fine(chain: list[str], plugins: dict[str, Any]) -> None:
    assert loaded(chain, **plugins).config.chain == chain


def test_it_is_said_once_for_several_cameras() -> None:
    cameras = {name: {"source": "testpattern://", "chain": ["detector", "hider"]} for name in "ab"}
    text = yaml.safe_dump({"cameras": cameras, "plugins": {"detector": {"gate": "activity"}}})
    with pytest.raises(ConfigError) as caught:
        load_text(text, Path("site.yaml"), environ={}, plugins=PluginSource(CLASSES.__getitem__, check_chain))
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize(
    ("chain", "plugins", "hiding"),
    [
        (["detector", "face", "hider"], {}, {"detector", "hider"}),
        (["detector", "tracker", "trackhider"], {}, {"detector", "tracker", "trackhider"}),
        (["detector", "tracker"], {"detector": {"redact": ["person"]}}, {"detector"}),
        (["detector", "face"], {"face": {"blur": "all"}}, {"face"}),
        (["detector", "hider"], {"hider": {"hide": False}}, set()),
    ],
)  # fmt: skip
def test_redaction_depends_on_what_redacts_and_on_what_finds_it(
    chain: list[str], plugins: dict[str, Any], hiding: set[str]
) -> None:
    assert loaded(chain, **plugins).hiding == hiding
