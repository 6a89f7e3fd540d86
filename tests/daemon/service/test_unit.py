"""The unit is one that systemd takes, and keeps the service in bounds."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from daemon.service.systemd import version
from daemon.service.unit import unit

ROOT = Path(__file__).parents[3]
PLACES = Path("/opt/sightd/.venv/bin/sightd"), Path("/etc/sightd/sightd.yaml")

needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not on this machine")


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """For the systemd of this machine, with a program and files that are there."""
    path = tmp_path / "sightd.service"
    path.write_text(unit(Path("/bin/true"), Path("/etc/hostname"), version(), {"camera": Path("/etc/hostname")}))
    return path


def analyzed(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)


@needs_systemd
def test_systemd_finds_no_fault_in_it(written: Path) -> None:
    done = analyzed("verify", written)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs_systemd
def test_its_exposure_is_low(written: Path) -> None:
    done = analyzed("security", "--offline=yes", "--no-pager", written)
    found = re.search(r"exposure level for sightd.service: ([\d.]+)", done.stdout)
    assert found is not None, done.stdout + done.stderr
    assert float(found[1]) <= 3.0


def test_the_one_in_the_repository_is_the_one_that_is_installed() -> None:
    assert (ROOT / "config" / "systemd" / "sightd.service").read_text() == unit(*PLACES, 253)


def test_an_older_systemd_gets_the_reload_as_a_command() -> None:
    assert "Type=notify-reload\n" in unit(*PLACES, 253)
    older = unit(*PLACES, 252)
    assert "Type=notify\nExecReload=kill -HUP $MAINPID\n" in older


def test_odd_paths_are_written_so_that_they_stay_one_argument() -> None:
    text = unit(Path("/opt/my sightd/bin/sightd"), Path("/etc/100%/a.yaml"), 253)
    assert 'ExecStart="/opt/my sightd/bin/sightd" run -c /etc/100%%/a.yaml\n' in text


def test_credentials_are_loaded_by_their_names() -> None:
    text = unit(*PLACES, 253, {"camera": Path("/etc/sightd/camera"), "a": Path("/x")})
    assert "LoadCredential=a:/x\nLoadCredential=camera:/etc/sightd/camera\n" in text
    assert "LoadCredential" not in unit(*PLACES, 253)
