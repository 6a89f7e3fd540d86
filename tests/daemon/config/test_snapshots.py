"""Options of snapshots: which events they select, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from sightd.daemon.config.snapshots import Snapshots
from tests.support.sightd import sightd

pytestmark = pytest.mark.computing


def test_kinds_and_cameras_select_events() -> None:
    options = Snapshots(kinds=["zone.*", "line.crossed"], cameras=["gate"])
    assert [options.selects(kind) for kind in ("zone.entered", "line.crossed", "line.left", "zones.x")] == [
        True,
        True,
        False,
        False,
    ]
    assert (options.includes("gate"), options.includes("yard")) == (True, False)
    assert Snapshots(kinds=["*"]).includes("yard")
    with pytest.raises(ValidationError):
        Snapshots(kinds=[])


def test_a_camera_that_does_not_exist_is_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "sightd.yaml"
    path.write_text(
        "cameras: {gate: {source: testpattern://}}\nevents: {snapshots: {kinds: ['zone.*'], cameras: [gate, gaet]}}\n"
    )
    done = sightd("check", "-c", path)
    assert done.returncode == 0
    assert "events.snapshots.cameras[1]" in done.stdout + done.stderr
    assert "there is no camera gaet" in done.stdout + done.stderr
