"""`sightd zones` without a daemon: it reads the files of the configuration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from sightd.plugins.zones.config import CameraZones
from sightd.plugins.zones.store import ZoneStore
from tests.support.sightd import Finished, sightd

DOOR = {"corners": [[0.1, 0.1], [0.4, 0.1], [0.4, 0.4]], "active": "mon-fri 18:00-07:00"}
GATE = {"points": [[0, 1], [1, 1]], "classes": ["person", "car"]}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    store = tmp_path / "zones.json"
    ZoneStore(store).save({"street": CameraZones.model_validate({"lines": {"gate": GATE}})})
    path = tmp_path / "sightd.yaml"
    zones = {"store": str(store), "cameras": {"yard": {"zones": {"door": DOOR}}}}
    cameras = {"yard": {"source": "testpattern://"}}
    path.write_text(yaml.safe_dump({"cameras": cameras, "plugins": {"zones": zones}}))
    return path


def run(action: str, config: Path, *more: str) -> Finished:
    done = sightd("zones", action, "-c", config, *more)
    assert done.returncode == 0, done.stderr
    assert "no daemon is running" in done.stderr
    return done


def test_all_zones_and_lines_are_listed(config: Path) -> None:
    rows = [line.strip().split(maxsplit=4) for line in run("list", config).stdout.splitlines()]
    assert rows[1][:4] == ["yard", "door", "zone", "configuration"]
    assert rows[1][4].split(maxsplit=1) == ["all", "mon-fri 18:00-07:00"]
    assert rows[2] == ["street", "gate", "line", "api", "person, car  always"]
    found = json.loads(run("list", config, "--json").stdout)
    assert found["street"]["lines"]["gate"] == {**GATE, "source": "api"}


def test_an_export_can_be_put_into_the_configuration(config: Path) -> None:
    exported = yaml.safe_load(run("export", config).stdout)
    assert exported == {"plugins": {"zones": {"cameras": {"street": {"lines": {"gate": GATE}}}}}}
    checked = config.with_name("exported.yaml")
    checked.write_text(yaml.safe_dump({"cameras": {"street": {"source": "testpattern://"}}, **exported}))
    assert sightd("check", "-c", checked).returncode == 0


def test_nothing_stored_and_nothing_configured_is_said(tmp_path: Path) -> None:
    path = tmp_path / "sightd.yaml"
    path.write_text(yaml.safe_dump({"cameras": {}, "plugins": {"zones": {"store": str(tmp_path / "zones.json")}}}))
    assert run("list", path).stdout.startswith("no zones: add them to the configuration")
    assert run("export", path).stdout == "# no zones came through the API\n"
