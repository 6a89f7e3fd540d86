"""The identity plug-in: groups of cameras, and identities on analysed and predicted frames."""

from __future__ import annotations

from typing import Any

import pytest

from sightd.engines.models.catalog import Catalog
from sightd.plugins.api import Identities, JsonOptions, Results, merged_json
from sightd.plugins.identity.plugin import IdentityConfig, IdentityKeeper
from sightd.plugins.testing import check_plugin
from sightd.plugins.testing.stubs import Scene


def keeper(**options: Any) -> IdentityKeeper:
    return IdentityKeeper(IdentityConfig.model_validate(options))


def given(scene: Scene, index: int) -> Results:
    return Results(scene.detections(index), scene.tracks(index), scene.appearances(index))


def seen(plugin: IdentityKeeper, camera: str, start: float, frames: int = 7) -> dict[int, int]:
    """Shows ten objects, the same on each camera, and returns the identity of each track."""
    scene = Scene(camera, boxes=10, start=start)
    found = Results()
    for index in range(frames):
        found = plugin.process([scene.frame(index)], [given(scene, index)])[0]
    identities = found.get(Identities)
    return {} if identities is None else identities.by_track()


def test_objects_have_the_same_identity_on_all_cameras_of_a_group() -> None:
    plugin = keeper(groups={"site": ["gate", "yard"], "shop": ["till"]})
    at_the_gate = seen(plugin, "gate", 100)
    assert sorted(at_the_gate) == list(range(1, 11))
    assert seen(plugin, "yard", 200) == at_the_gate
    till = Scene("till", boxes=10, start=300)
    assert plugin.process([till.frame(0)], [given(till, 0)])[0].get(Identities) is not None
    assert seen(plugin, "till", 400) == at_the_gate, "numbers of another group begin at 1, too"


def test_without_groups_all_cameras_are_one() -> None:
    plugin = keeper()
    assert seen(plugin, "gate", 100) == seen(plugin, "yard", 200) != {}


def test_a_camera_in_no_group_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    plugin = keeper(groups={"site": ["gate"]})
    assert seen(plugin, "yrad", 100) == {}
    assert [record.message for record in caplog.records] == [
        "identity: camera yrad is in none of the groups, so its objects have no identities"
    ]


def test_a_predicted_track_has_its_identity() -> None:
    plugin = keeper()
    known = seen(plugin, "gate", 100)
    scene = Scene("gate", boxes=10, start=100)
    predicted = plugin.predict(scene.frame(8), Results(scene.tracks(8))).get(Identities)
    assert predicted is not None
    assert predicted.by_track() == known
    plugin.forget("gate")
    forgotten = plugin.predict(scene.frame(8), Results(scene.tracks(8))).get(Identities)
    assert forgotten is not None
    assert len(forgotten) == 0


def test_identities_are_in_the_lines_of_analyze_and_vectors_if_asked_for() -> None:
    plugin, scene = keeper(), Scene("gate", boxes=10, start=100)
    known = seen(plugin, "gate", 100)
    results = given(scene, 8).merged(plugin.process([scene.frame(8)], [given(scene, 8)])[0])
    (plain, _), (full, _) = (merged_json(results, JsonOptions(embeddings=asked)) for asked in (False, True))
    rows: Any = plain["detections"]
    assert {row["track"]: row["identity"] for row in rows} == known
    assert all("appearance" not in row for row in rows)
    vectors: Any = full["detections"]
    assert all(len(row["appearance"]) == 16 for row in vectors)


def test_a_camera_in_two_groups_is_reported() -> None:
    config = IdentityConfig.model_validate({"groups": {"site": ["gate", "yard"], "shop": ["till", "gate"]}})
    (problem,) = config.problems(Catalog.load())
    assert problem.path == ("groups", "shop")
    assert problem.message == 'camera "gate" is in the groups "site" and "shop"'


def test_the_conformance_kit_finds_no_fault() -> None:
    report = check_plugin(IdentityKeeper)
    assert report.ok, report
