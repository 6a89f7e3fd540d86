"""The unit is accepted by systemd, and keeps the service within limits."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from sightd.daemon.app.unit import UnitPathError, unit

ROOT = Path(__file__).parents[3]
PLACES = Path("/opt/sightd/.venv/bin/sightd"), Path("/etc/sightd/sightd.yaml")

needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not on this machine")


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """Writes a unit for this machine's systemd, with a program and files that exist."""
    path = tmp_path / "sightd.service"
    path.write_text(unit(Path("/bin/true"), Path("/etc/hostname"), {"camera": Path("/etc/hostname")}))
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
    assert (ROOT / "config" / "systemd" / "sightd.service").read_text() == unit(*PLACES)


def test_a_reload_is_a_command_that_can_fail_or_a_signal_without_a_control_socket() -> None:
    assert "Type=notify\n" in unit(*PLACES)
    assert "ExecReload=/opt/sightd/.venv/bin/sightd reload\n" in unit(*PLACES)
    assert "ExecReload=kill -HUP $MAINPID\n" in unit(*PLACES, control=False)


def test_only_groups_that_exist_are_named() -> None:
    assert "\nSupplementaryGroups=video render\n" in unit(*PLACES)
    assert "\nSupplementaryGroups=video\n" in unit(*PLACES, groups=["video"])
    assert "\nSupplementaryGroups=" not in unit(*PLACES, groups=[])


def test_odd_paths_are_written_so_that_they_stay_one_argument() -> None:
    text = unit(Path("/opt/my $sightd/bin/sightd"), Path("/etc/100%/$a/../$b.yaml"))
    assert 'ExecStart="/opt/my $sightd/bin/sightd" run -c /etc/100%%/$$b.yaml\n' in text


def test_credentials_are_loaded_by_their_names() -> None:
    text = unit(*PLACES, {"camera": Path("/etc/sightd/camera"), "a": Path("/x")})
    assert "LoadCredential=a:/x\nLoadCredential=camera:/etc/sightd/camera\n" in text
    assert "LoadCredential" not in unit(*PLACES)


def test_specifiers_in_a_credential_s_path_are_escaped_and_blanks_are_not() -> None:
    text = unit(*PLACES, {"camera": Path('/etc/100% %h/my "secret":a')})
    assert 'LoadCredential=camera:/etc/100%% %%h/my "secret":a\n' in text


@pytest.mark.parametrize("name", ["a\nUser=root", "a\t", "\udcff", "a\x7f"])
def test_paths_that_a_unit_cannot_name_are_refused(name: str) -> None:
    for arguments in ((Path("/", name), PLACES[1]), (PLACES[0], Path("/", name)), (*PLACES, {"a": Path("/", name)})):
        with pytest.raises(UnitPathError, match="Rename it"):
            unit(*arguments)


@pytest.mark.parametrize("name", ["it's", 'a"b', "a\\b"])
def test_programs_that_systemd_does_not_take_are_refused(name: str) -> None:
    with pytest.raises(UnitPathError, match="quotes or backslashes"):
        unit(Path("/", name), PLACES[1])


@pytest.mark.parametrize("name", ["a ", "a\\"])
def test_ends_of_a_credential_s_path_that_systemd_would_take_for_something_else_are_refused(name: str) -> None:
    with pytest.raises(UnitPathError, match="ends in a space or a backslash"):
        unit(*PLACES, {"a": Path("/", name)})
    assert unit(PLACES[0], Path("/", name))


@needs_systemd
def test_systemd_takes_odd_paths_too(tmp_path: Path) -> None:
    program = tmp_path / "a $b %d;" / "true"
    program.parent.mkdir()
    program.symlink_to("/bin/true")
    secret = tmp_path / 'my "100%" secret \\ %h'
    secret.touch()
    path = tmp_path / "sightd.service"
    path.write_text(unit(program, secret, {"camera": secret}, groups=[]))
    done = analyzed("verify", path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
