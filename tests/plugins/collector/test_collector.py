"""The collector stores the frames that are worth labelling: few, for a reason, and never what privacy hides."""

from __future__ import annotations

import errno
import json
import os
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from sightd.plugins.api import (
    AnyPlugin,
    Detections,
    Frame,
    Plugin,
    PluginConfig,
    PluginError,
    PrivacyMask,
    Results,
)
from sightd.plugins.collector.plugin import CollectedFrames, Collector, CollectorConfig
from sightd.plugins.configuration.registry import check_chain
from sightd.plugins.testing import check_plugin
from sightd.plugins.testing.stubs import StubContext

LABELS = ("person", "car")


class Finder(Plugin[PluginConfig]):
    produces = frozenset({Detections})


class Redactor(Plugin[PluginConfig]):
    produces = frozenset({PrivacyMask})


def opened(folder: Path, **options: Any) -> Collector:
    plugin = Collector(CollectorConfig.model_validate({"folder": folder, "gap": 0, "per_hour": 100, **options}))
    plugin.open(StubContext("collector"))
    return plugin


def found(*scores: float, x: float = 20) -> Detections:
    boxes = np.array([[x, 20, x + 40, 80]] * len(scores), np.float32).reshape(-1, 4)
    return Detections(boxes, np.array(scores, np.float32), np.zeros(len(scores), np.int64), LABELS)


def shown(
    plugin: Collector, *frames: tuple[float, int, Detections], camera: str = "yard", hidden: PrivacyMask | None = None
) -> list[str]:
    """Shows frames (time in s, shade, detections) and returns the reasons for which some were stored."""
    reasons: list[str] = []
    for at, shade, detections in frames:
        image = np.full((100, 200, 3), shade, np.uint8)
        frame = Frame.of(image, camera=camera, seq=int(at), captured_at=at, wall_time=1.7e9 + at)
        [results] = plugin.process([frame], [Results(detections, *([] if hidden is None else [hidden]))])
        counted = results.get(CollectedFrames)
        assert counted is not None
        reasons += [str(reason) for reason in counted.reasons]
    return reasons


def test_a_doubtful_frame_is_stored_with_what_was_found(tmp_path: Path) -> None:
    plugin = opened(tmp_path / "frames")
    assert shown(plugin, (0, 10, found(0.42)), (1, 10, found())) == ["uncertain"]
    (image,) = (tmp_path / "frames").glob("*.jpg")
    note = json.loads(image.with_suffix(".json").read_text())
    assert abs(int(cv2.imread(str(image))[0, 0, 0]) - 10) <= 1  # type: ignore[index]
    assert (note["source"], note["reason"], note["time"]) == ("yard", "uncertain", 1.7e9)
    assert note["boxes"] == [{"class": "person", "box": [20, 20, 60, 80], "score": 0.42}]
    assert (tmp_path / "frames").stat().st_mode & 0o777 == 0o700


def test_an_object_that_is_lost_for_one_frame_was_missed(tmp_path: Path) -> None:
    sure = found(0.9)
    frames = [(0.0, 10, sure), (1.0, 10, sure), (2.0, 10, found()), (3.0, 10, sure)]
    assert shown(opened(tmp_path / "a"), *frames) == ["new", "missed"]
    seen = [*frames[:2], (2.0, 10, found(0.26)), frames[3]]
    assert shown(opened(tmp_path / "b"), *seen) == ["new"]
    moved = [*frames[:3], (3.0, 10, found(0.9, x=120))]
    assert shown(opened(tmp_path / "c"), *moved) == ["new"]


def carried(detections: Detections) -> Detections:
    return replace(detections, carried=np.ones(len(detections), np.bool_))


def test_a_carried_object_is_neither_doubtful_nor_missed(tmp_path: Path) -> None:
    none = found()
    assert shown(opened(tmp_path / "a"), (0, 10, none), (1, 10, carried(found(0.42))), (2, 10, none)) == ["new"]
    frames = [(0.0, 10, found(0.9)), (1.0, 10, found(0.9)), (2.0, 10, carried(found(0.9))), (3.0, 10, found(0.9))]
    assert shown(opened(tmp_path / "b"), *frames) == ["new"]
    frames = [(0.0, 10, none), (1.0, 10, carried(found(0.9))), (2.0, 10, none), (3.0, 10, carried(found(0.9)))]
    assert shown(opened(tmp_path / "c"), *frames) == ["new"]


def test_a_frame_that_looks_like_a_stored_one_is_not_new(tmp_path: Path) -> None:
    plugin, none = opened(tmp_path), found()
    assert shown(plugin, *((n, shade, none) for n, shade in enumerate((10, 12, 90, 11, 91, 10)))) == ["new", "new"]


def test_the_budget_is_kept_and_comes_back_after_an_hour(tmp_path: Path) -> None:
    plugin = opened(tmp_path, per_hour=4, gap="10s")
    doubtful = [(float(at), at % 200, found(0.4)) for at in range(0, 200, 2)]
    reasons = shown(plugin, *doubtful)
    assert len(reasons) == 4
    assert reasons.count("uncertain") == 2, "half of the budget for each reason"
    times = sorted(json.loads(path.read_text())["time"] for path in tmp_path.glob("*.json"))
    assert min(np.diff(times)) >= 10
    assert shown(plugin, (3700, 10, found(0.4)), (3701, 10, found(0.4))) == ["uncertain"]


def test_each_camera_has_a_budget_of_its_own(tmp_path: Path) -> None:
    plugin = opened(tmp_path, per_hour=1)
    frames = [(float(at), 10, found(0.4)) for at in range(4)]
    assert len(shown(plugin, *frames)) == len(shown(plugin, *frames, camera="gate/1")) == 1
    assert {path.name.split("-2023")[0] for path in tmp_path.glob("*.jpg")} == {"yard", "gate-1-e9e2c6eb"}


def test_a_full_folder_gets_no_more(tmp_path: Path) -> None:
    plugin = opened(tmp_path, max_frames=2)
    assert len(shown(plugin, *((float(at), at * 20, found(0.4)) for at in range(10)))) == 2
    assert shown(opened(tmp_path, max_frames=2), (0, 1, found(0.4)), (1, 1, found(0.4))) == []


def test_a_folder_that_is_too_large_gets_no_more_whatever_is_in_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plugin = opened(tmp_path, max_size="1MB")
    (tmp_path / "others.bin").write_bytes(bytes(900_000))
    frames = [(float(at), at * 20, found(0.4)) for at in range(12)]
    assert len(shown(plugin, *frames)) == 11, "its own frames are small"
    (tmp_path / "others.bin").write_bytes(bytes(1_000_000))
    plugin = opened(tmp_path, max_size="1MB")
    assert shown(plugin, *frames) == []
    assert caplog.text.count("is full (11 frames, 1 MB)") == 1


def test_images_without_a_description_count_too(tmp_path: Path) -> None:
    for n in range(2):
        (tmp_path / f"{n}.jpg").write_bytes(b"")
    assert shown(opened(tmp_path, max_frames=2), (0, 1, found(0.4)), (1, 1, found(0.4))) == []


@pytest.mark.parametrize("suffix", [".jpg", ".json"])
def test_a_full_disk_leaves_no_half_a_frame(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_file = os.replace

    def full(source: str, target: Path) -> None:
        if target.suffix == suffix:
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        replace_file(source, target)

    plugin = opened(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        with pytest.raises(OSError, match="No space left on device"):
            shown(plugin, (0, 10, found(0.4)), (1, 10, found(0.4)))
    assert list(tmp_path.iterdir()) == []
    assert shown(plugin, (2, 10, found(0.4)), (3, 10, found(0.4))) != [], "it goes on when there is space"


def test_what_a_killed_process_has_begun_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".sightd-frame-x.new").write_bytes(b"half")
    (tmp_path / "mine.jpg").write_bytes(b"of somebody else")
    opened(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.jpg"]


def test_files_are_their_owners_only_in_any_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert shown(opened(tmp_path), (0, 10, found(0.4)), (1, 10, found(0.4)))
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_cameras_with_similar_names_do_not_share_files(tmp_path: Path) -> None:
    plugin = opened(tmp_path)
    for camera in ("gate 1", "gate/1", "gate-1"):
        assert shown(plugin, (0, 10, found(0.4)), (1, 10, found(0.4)), camera=camera) == ["uncertain"]
    assert {json.loads(path.read_text())["source"] for path in tmp_path.glob("*.json")} == {
        "gate 1",
        "gate/1",
        "gate-1",
    }


@pytest.mark.parametrize("boxes", [0, 1])
def test_nothing_is_stored_of_a_camera_that_redacts(boxes: int, tmp_path: Path) -> None:
    mask = PrivacyMask(np.zeros((boxes, 4), np.float32))
    plugin = opened(tmp_path)
    frames = [(float(at), at * 20, found(0.4)) for at in range(10)]
    assert shown(plugin, *frames, hidden=mask) == []
    assert list(tmp_path.iterdir()) == []
    assert shown(plugin, *frames[:2], camera="gate") == ["uncertain"], "other cameras are collected from"


def test_what_redacts_must_come_before_it() -> None:
    classes: dict[str, type[AnyPlugin]] = {"finder": Finder, "redactor": Redactor, "collector": Collector}
    with pytest.raises(PluginError, match=r"^collector uses PrivacyMask; put redactor before it$"):
        check_chain(["finder", "collector", "redactor"], classes)
    check_chain(["finder", "redactor", "collector"], classes)
    assert PrivacyMask in Collector.uses


def test_a_frame_from_before_redaction_began_is_dropped(tmp_path: Path) -> None:
    plugin = opened(tmp_path)
    assert shown(plugin, (0, 10, found(0.4))) == []
    assert shown(plugin, (1, 10, found(0.4)), hidden=PrivacyMask(np.zeros((0, 4), np.float32))) == []
    assert shown(plugin, (2, 10, found())) == []
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PluginError, match=r"^plug-in collector: .*file cannot be used: Not a directory"):
        opened(tmp_path / "file")


def test_results_can_go_to_another_process(tmp_path: Path) -> None:
    [results] = opened(tmp_path).process([Frame.of(np.zeros((8, 8, 3), np.uint8))], [Results(found())])
    assert pickle.loads(pickle.dumps(results.get(CollectedFrames))) == CollectedFrames(())


def test_it_follows_the_rules_of_plug_ins(tmp_path: Path) -> None:
    report = check_plugin(Collector, {"folder": str(tmp_path)})
    assert report.ok, str(report)
