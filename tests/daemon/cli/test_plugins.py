"""`sightd plugins`, and a third-party plug-in that is installed and checked by it."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sightd.daemon.cli import plugins
from tests.support.example import EXAMPLE, install_example

ROOT = Path(__file__).parents[3]

_SIGHTD = """
import argparse, sys
from sightd.daemon.cli import plugins
parser = argparse.ArgumentParser()
plugins.add(parser.add_subparsers())
args = parser.parse_args(sys.argv[1:])
sys.exit(args.run(args))
"""


def sightd(*words: str) -> int:
    parser = argparse.ArgumentParser()
    plugins.add(parser.add_subparsers())
    args = parser.parse_args(["plugins", *words])
    code: int = args.run(args)
    return code


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Installs the example package where only the tests see it. Returns the folder."""
    return install_example(tmp_path_factory.mktemp("example"))


def with_example(installed: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs `sightd plugins` in a separate process that sees the example package."""
    paths = os.pathsep.join([str(ROOT), str(installed)])
    return subprocess.run(
        [sys.executable, "-c", _SIGHTD, "plugins", *words],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": paths},
    )


def test_the_list_shows_what_a_plug_in_requires_and_produces(capsys: pytest.CaptureFixture[str]) -> None:
    sightd("list")
    listed = capsys.readouterr().out
    assert "tracker  (sightd " in listed
    assert "Tracks objects" in listed
    assert "requires Detections; uses Appearances; produces Events, Tracks" in listed


def test_the_list_shows_metrics_events_routes_and_commands(capsys: pytest.CaptureFixture[str], installed: Path) -> None:
    assert sightd("list") == 0
    listed = capsys.readouterr().out
    face = listed.partition("\nface  (")[2].partition("\nidentity  (")[0]
    assert "    metrics: sightd_face_matches_total{camera,outcome}\n" in face
    assert re.search(r"    routes: \d+ at /api/v1/calibrate-faces, .*/api/v1/faces, .*/api/v1/unknown-faces\n", face)
    assert face.endswith("    commands: sightd faces")
    tracker = listed.partition("\ntracker  (")[2].partition("\nzones  (")[0]
    assert "    events: object.gone, object.new" in tracker
    identity = listed.partition("\nidentity  (")[2].partition("\nstyle  (")[0]
    assert not any(word in identity for word in ("metrics:", "events:", "routes:", "commands:")), "it has none"
    motion = with_example(installed, "list").stdout.partition("motion  (")[2].partition("\nstyle  (")[0]
    assert "    events: motion.began" in motion
    assert motion.endswith("    commands: sightd motion")


def test_the_list_as_json_has_each_route(capsys: pytest.CaptureFixture[str]) -> None:
    assert sightd("list", "--json") == 0
    found = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert found["tracker"]["requires"] == ["Detections"]
    assert found["tracker"]["routes"] == found["tracker"]["commands"] == []
    assert found["face"]["commands"] == ["faces"]
    assert {"method": "GET", "path": "/api/v1/faces", "role": "operate", "summary": "All persons"} in (
        found["face"]["routes"]
    )


def test_the_options_are_reported_with_limits_and_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    assert sightd("options", "tracker") == 0
    told = capsys.readouterr().out
    assert "max_lost: text such as 1500ms, default 1.5s\n    An object that was not seen for longer" in told
    assert "max_tracks: integer ≥ 1 ≤ 5000, default 300" in told


def test_a_correct_plug_in_passes_with_exit_code_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert sightd("check", "tracker", "--set", "max_lost=2s", "--set", "min_hits=1") == 0
    assert "Tracker follows the contract" in capsys.readouterr().out


def test_a_wrong_option_fails_the_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert sightd("check", "tracker", "--set", "min_hits=0") == 1
    assert "min_hits: Input should be greater than or equal to 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [(["check", "traker"], 'did you mean "tracker"'), (["check", "tracker", "--set", "max_lost"], "OPTION=VALUE")],
)
def test_a_mistake_in_the_command_is_explained(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sightd(*words) == 2
    assert message in capsys.readouterr().err


def test_a_plug_in_of_another_package_is_listed_and_keeps_to_the_contract(installed: Path) -> None:
    assert "motion  (sightd-motion 0.1.0)" in with_example(installed, "list").stdout
    checked = with_example(installed, "check", "motion", "--set", "threshold=40")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "Motion follows the contract" in checked.stdout


def test_a_broken_plug_in_is_listed_with_its_fault_beside_the_others(installed: Path, tmp_path: Path) -> None:
    broken = tmp_path / "site"
    shutil.copytree(installed, broken)
    (broken / "sightd_motion" / "plugin.py").write_text("import a_module_that_nobody_has\n")
    listed = with_example(broken, "list")
    assert listed.returncode == 1
    assert "BROKEN" in listed.stdout
    assert "No module named 'a_module_that_nobody_has'" in listed.stdout
    assert "Tracks objects" in listed.stdout
    as_json = with_example(broken, "list", "--json")
    assert as_json.returncode == 1
    (motion,) = [one for one in json.loads(as_json.stdout) if one["name"] == "motion"]
    assert "No module named 'a_module_that_nobody_has'" in motion["error"]


def test_the_example_does_what_the_documentation_says_of_it() -> None:
    shown = (ROOT / "docs" / "plugins.md").read_text()
    steps = re.findall(r"```python\n(.*?)\n```", shown.partition("## The package")[0], re.S)
    assert len(steps) == 4
    assert (EXAMPLE / "sightd_motion" / "plugin.py").read_text() == "\n\n\n".join(steps[:3]) + "\n"
    assert (EXAMPLE / "sightd_motion" / "command.py").read_text() == steps[3] + "\n"
    assert (EXAMPLE / "pyproject.toml").read_text() in shown
