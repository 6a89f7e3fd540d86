"""The file of stored zones: whole or unchanged, whatever happens."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from sightd.plugins.api import RefusedError
from sightd.plugins.zones.config import CameraZones, ZonesConfig
from sightd.plugins.zones.store import ZoneStore, ZoneStoreError, merged, store_of

ZONES = CameraZones.model_validate({"zones": {"door": {"corners": [[0, 0], [1, 0], [1, 1]], "loiter_after": "30s"}}})


def test_what_is_stored_is_read_again_and_only_its_owner_can(tmp_path: Path) -> None:
    store = ZoneStore(tmp_path / "state" / "zones.json")
    assert store.load() == {}
    store.save({"yard": ZONES})
    assert ZoneStore(store.path).load() == {"yard": ZONES}
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert [path.name for path in store.path.parent.iterdir()] == ["zones.json"]


def test_a_camera_without_zones_is_not_stored(tmp_path: Path) -> None:
    store = ZoneStore(tmp_path / "zones.json")
    store.save({"yard": CameraZones()})
    assert store.load() == {}


def test_a_change_by_another_process_is_seen(tmp_path: Path) -> None:
    store = ZoneStore(tmp_path / "zones.json")
    assert store.load() == {}
    for camera in ("yard", "street"):
        ZoneStore(store.path).save({camera: ZONES})
        assert store.load() == {camera: ZONES}


@pytest.mark.parametrize(
    "text", ["", "{", '{"version": 2}', '{"cameras": {"yard": {"zones": {"a": {}}}}}', '{"cameras": {"Über": {}}}']
)
def test_a_damaged_file_is_refused_and_left_as_it_is(tmp_path: Path, text: str) -> None:
    store = ZoneStore(tmp_path / "zones.json")
    store.path.write_text(text)
    with pytest.raises(ZoneStoreError, match="correct the file, or remove it"):
        store.load()
    assert store.path.read_text() == text


def test_a_write_that_fails_changes_nothing(tmp_path: Path) -> None:
    store = ZoneStore(tmp_path / "zones.json")
    store.save({"yard": ZONES})
    (tmp_path / "folder").mkdir()
    blocked = ZoneStore(tmp_path / "folder")
    with pytest.raises(ZoneStoreError, match=r"cannot be written: .*; nothing was changed"):
        blocked.save({"yard": ZONES})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "zones.json"], "no temporary file is left"


def test_the_number_of_cameras_is_bounded(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="at most 500"):
        ZoneStore(tmp_path / "zones.json").save({f"camera-{number}": ZONES for number in range(501)})


def test_the_store_is_in_the_state_directory_unless_the_options_name_another(tmp_path: Path) -> None:
    environ = {"SIGHTD_STATE_DIR": str(tmp_path)}
    assert store_of(ZonesConfig(), environ).path == tmp_path / "zones.json"
    assert store_of(ZonesConfig(store=tmp_path / "mine.json"), environ).path == tmp_path / "mine.json"


def test_of_the_same_name_the_zone_of_the_configuration_applies() -> None:
    whole = {"corners": [[0, 0], [1, 0], [1, 1], [0, 1]]}
    configured = CameraZones.model_validate({"zones": {"door": whole}, "lines": {"gate": {"points": [[0, 0], [1, 1]]}}})
    stored = CameraZones.model_validate(
        {"zones": {"gate": whole, "yard": whole}, "scale": {"points": [[0, 0], [1, 1]], "metres": 3}}
    )
    both = merged(configured, merged(ZONES, stored))
    assert both.zones["door"] == configured.zones["door"]
    assert both.names == {"door", "gate", "yard"}
    assert "gate" in both.lines
    assert both.scale == stored.scale
    assert json.loads(both.model_dump_json())["zones"]["yard"]["corners"] == [[0, 0], [1, 0], [1, 1], [0, 1]]
