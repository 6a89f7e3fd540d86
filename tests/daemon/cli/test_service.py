"""`sightd service` on a machine whose systemd is simulated by two scripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightd.daemon.app import unit
from sightd.daemon.cli.main import main

SHOWN = "LoadState=loaded\nActiveState=active\nSubState=running\nStatusText=2 of 2 cameras live, 50 fps\nNRestarts=1\n"


class Machine:
    """Records the calls of `systemctl`, and sets what it reports about the service."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bin, self.units = folder, folder / "bin", folder / "units"
        self.bin.mkdir()
        self.units.mkdir()
        self.shows(SHOWN)
        self.script("systemd-analyze", "echo 'systemd 252 (252.38)'")
        self.script(
            "systemctl",
            f'echo "$@" >> {folder}/asked\nif [ "$1" = show ]; then cat {folder}/shown; fi\n'
            f'if [ -e {folder}/refuses ]; then echo "Access denied" >&2; exit 4; fi',
        )

    def script(self, name: str, text: str) -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def shows(self, text: str) -> None:
        (self.folder / "shown").write_text(text)

    @property
    def asked(self) -> list[str]:
        file = self.folder / "asked"
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    one = Machine(tmp_path)
    monkeypatch.setenv("PATH", f"{one.bin}:/usr/bin:/bin")
    monkeypatch.setattr(unit, "require_running", lambda: None)
    monkeypatch.setattr(unit, "_blocked", lambda path: None)
    for function in (unit.install, unit.uninstall):
        monkeypatch.setattr(function, "__defaults__", (one.units,))
    return one


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "sightd.yaml"
    path.write_text("cameras: {a: {source: 'testpattern://'}}\nchain: []\n")
    return path


def test_it_is_written_started_and_taken_off_again(
    machine: Machine, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = machine.folder / "camera-password"
    secret.write_text("hunter2")
    assert main(["service", "install", "-c", str(config), "--credential", f"camera={secret}"]) == 0
    text = (machine.units / "sightd.service").read_text()
    assert f" run -c {config}\n" in text
    assert f"LoadCredential=camera:{secret}\n" in text
    assert "hunter2" not in text
    assert machine.asked == ["daemon-reload", "enable sightd.service", "restart sightd.service"]
    assert main(["service", "uninstall"]) == 0
    assert not (machine.units / "sightd.service").exists()
    assert machine.asked[3:] == ["disable --now sightd.service", "daemon-reload"]
    assert main(["service", "uninstall"]) == 0
    assert "not installed" in capsys.readouterr().out


def test_a_configuration_is_checked_with_its_credentials(
    machine: Machine, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = machine.folder / "100% secret"
    secret.write_text("hunter2")
    place = "${file:/run/credentials/sightd.service/camera}"
    config.write_text(f"cameras: {{a: {{source: 'rtsp://u:{place}@127.0.0.1/x', tmeout: 3s}}}}\nchain: []\n")
    assert main(["service", "install", "-c", str(config), "--credential", f"camera={secret}"]) == 1
    told = capsys.readouterr().err
    assert 'did you mean "timeout"' in told
    assert "hunter2" not in told
    config.write_text(config.read_text().replace("tmeout", "timeout"))
    assert main(["service", "install", "-c", str(config)]) == 1
    assert "cannot read the file /run/credentials/sightd.service/camera" in capsys.readouterr().err
    assert main(["service", "install", "-c", str(config), "--credential", f"camera={secret}"]) == 0
    assert f"LoadCredential=camera:{machine.folder}/100%% secret\n" in (machine.units / "sightd.service").read_text()


def test_a_blank_in_a_credential_s_path_is_refused_if_systemd_fails_on_it(
    machine: Machine, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = machine.folder / "a secret"
    secret.write_text("hunter2")
    command = ["service", "install", "-c", str(config), "--credential", f"camera={secret}"]
    assert main(command) == 0, "systemd 252"
    machine.script("systemd-analyze", "echo 'systemd 257 (257.9)'")
    assert main(command) == 1
    assert "systemd 257 cannot load the credential camera" in capsys.readouterr().err


def test_groups_that_do_not_exist_are_left_out_and_named(
    machine: Machine, config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(unit, "GROUPS", ("root", "no-such-group"))
    assert main(["service", "install", "-c", str(config)]) == 0
    assert "\nSupplementaryGroups=root\n" in (machine.units / "sightd.service").read_text()
    assert "this machine has no group no-such-group" in capsys.readouterr().err


def test_without_a_control_socket_a_reload_is_a_signal(machine: Machine, config: Path) -> None:
    config.write_text(config.read_text() + "control: {enabled: false}\n")
    assert main(["service", "install", "-c", str(config)]) == 0
    assert "\nExecReload=kill -HUP $MAINPID\n" in (machine.units / "sightd.service").read_text()


def test_the_unit_can_be_printed_only(machine: Machine, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["service", "install", "-c", str(config), "--print"]) == 0
    assert "WatchdogSec=30s" in capsys.readouterr().out
    assert machine.asked == []
    assert not list(machine.units.iterdir())


def test_a_faulty_configuration_is_not_installed(
    machine: Machine, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text("cameras: {a: {sorce: x}}\n")
    assert main(["service", "install", "-c", str(config)]) == 1
    told = capsys.readouterr().err
    assert "nothing was installed" in told
    assert 'did you mean "source"' in told
    assert not list(machine.units.iterdir())


def test_a_file_that_is_not_there_is_reported(
    machine: Machine, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["service", "install", "-c", "none.yaml"]) == 1
    assert "none.yaml does not exist" in capsys.readouterr().err
    assert main(["service", "install", "-c", str(config), "--credential", "a=/none"]) == 1
    assert "the credential a /none does not exist" in capsys.readouterr().err


def test_places_that_the_service_cannot_reach_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = Machine(tmp_path)
    monkeypatch.setenv("PATH", f"{one.bin}:/usr/bin:/bin")
    config.parent.chmod(0o700)
    program = tmp_path / "sightd"
    program.touch()
    with pytest.raises(unit.InstallationError, match="cannot be reached by the service"):
        unit.unit_text(config, {}, program)


@pytest.mark.parametrize(
    ("shown", "code", "told"),
    [
        (SHOWN, 0, "active (running), restarted 1 times\n2 of 2 cameras live, 50 fps"),
        ("LoadState=not-found\n", 3, "not installed"),
        ("LoadState=loaded\nActiveState=failed\nSubState=failed\nExecMainStatus=2\n", 3, "last exit code was 2"),
    ],
)
def test_its_status_is_reported(
    shown: str, code: int, told: str, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.shows(shown)
    assert main(["service", "status"]) == code
    assert told in capsys.readouterr().out


def test_a_refusal_of_systemd_is_reported(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    (machine.folder / "refuses").touch()
    assert main(["service", "status"]) == 1
    assert "Access denied" in capsys.readouterr().err


def test_a_machine_without_systemd_is_reported(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["service", "install", "-c", str(config)]) == 1
    assert "this system does not use systemd" in capsys.readouterr().err
