"""Commands find the right daemon, or say that they cannot."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sightd.daemon.config.model import Control
from sightd.daemon.control import discovery
from sightd.daemon.control.client import ControlError, DeniedError, NoDaemonError, SocketEndpoint
from sightd.daemon.control.discovery import DaemonSelection, InstalledService, client_for, find, installed_service
from sightd.daemon.serve.auth import PeerRoles
from sightd.daemon.serve.control_address import default_socket
from sightd.daemon.serve.http.control_socket import ControlSocket, open_control
from tests.support import other_user

Listen = Callable[..., Path]


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a user on a machine without an installed service."""
    monkeypatch.setattr("sightd.daemon.control.discovery.UNIT_FOLDER", tmp_path / "units")
    monkeypatch.setattr(discovery, "SERVICE_SOCKET", tmp_path / "service" / "control.sock")
    (tmp_path / "run").mkdir(mode=0o700)
    return {"XDG_RUNTIME_DIR": str(tmp_path / "run")}


@pytest.fixture
def listen(environ: dict[str, str]) -> Iterator[Listen]:
    """Opens the control socket of a daemon that runs a configuration."""
    opened: list[ControlSocket] = []

    def start(config: Path, path: Path | None = None) -> Path:
        config.write_text(f"control: {{socket: {path}}}\n" if path else "cameras: {}\n")
        control = open_control(Control(socket=path), config, PeerRoles(), environ, print)
        assert control is not None
        opened.append(control)
        return control.path

    yield start
    for one in opened:
        one.close()


def found(choice: DaemonSelection, environ: dict[str, str]) -> Path | None:
    client = find(choice, environ)
    if client is None:
        return None
    assert isinstance(client.endpoint, SocketEndpoint)
    return client.endpoint.path


def install(folder: Path, config: Path) -> None:
    (folder / "units").mkdir()
    (folder / "units" / "sightd.service").write_text(f"[Service]\nExecStart=/opt/sightd run -c {config}\n")


def test_the_daemon_that_runs_a_configuration_by_any_of_its_paths(
    listen: Listen, environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = listen(tmp_path / "a.yaml")
    listen(tmp_path / "b.yaml")
    (tmp_path / "link.yaml").symlink_to(tmp_path / "a.yaml")
    monkeypatch.chdir(tmp_path)
    for name in (tmp_path / "a.yaml", Path("a.yaml"), tmp_path / "link.yaml"):
        assert found(DaemonSelection(config=name), environ) == path
    assert found(DaemonSelection(config=tmp_path / "c.yaml"), environ) is None


def test_the_only_daemon_of_a_user_needs_no_name_and_several_do(
    listen: Listen, environ: dict[str, str], tmp_path: Path
) -> None:
    assert found(DaemonSelection(), environ) is None
    with pytest.raises(NoDaemonError, match=r"no sightd daemon runs \(looked for .*control-\*\.sock\)"):
        client_for(DaemonSelection(), environ)
    path = listen(tmp_path / "a.yaml")
    assert found(DaemonSelection(), environ) == path
    other = listen(tmp_path / "b.yaml")
    with pytest.raises(
        ControlError, match="2 of your daemons are running: choose one with -c FILE, or with --socket"
    ) as error:
        find(DaemonSelection(), environ)
    assert str(path) in str(error.value)
    assert found(DaemonSelection(socket=other), environ) == other


def test_a_socket_that_the_configuration_names(listen: Listen, environ: dict[str, str], tmp_path: Path) -> None:
    path = listen(tmp_path / "a.yaml", tmp_path / "mine.sock")
    assert found(DaemonSelection(config=tmp_path / "a.yaml"), environ) == path


def test_an_installed_service_is_meant_if_nothing_is_named_and_no_other_daemon(
    listen: Listen, environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listen(tmp_path / "mine.yaml")
    config = tmp_path / "site.yaml"
    install(tmp_path, config)
    assert found(DaemonSelection(), environ) is None, "the user's own daemon is not the service"
    running = listen(config, tmp_path / "s.sock")
    config.write_text("cameras: {}\n")
    monkeypatch.setattr(discovery, "SERVICE_SOCKET", running)
    assert found(DaemonSelection(), environ) == running
    assert found(DaemonSelection(config=config), environ) == running
    assert found(DaemonSelection(config=tmp_path / "other.yaml"), environ) is None


def test_a_command_of_the_services_own_unit_finds_it(listen: Listen, environ: dict[str, str], tmp_path: Path) -> None:
    path = listen(tmp_path / "a.yaml", tmp_path / "control.sock")
    assert found(DaemonSelection(), {**environ, "RUNTIME_DIRECTORY": f"{tmp_path}:/run/other"}) == path


def test_a_daemon_that_may_not_be_reached_is_no_reason_to_work_on_files(environ: dict[str, str]) -> None:
    other_user.need_root()
    with other_user.open_folder() as folder:
        path = folder / "control.sock"
        control = open_control(Control(socket=path), folder / "a.yaml", PeerRoles(), environ, print)
        assert control is not None
        os.seteuid(other_user.UID)
        try:
            with pytest.raises(DeniedError, match=r"use sudo, or give one of your groups a role with control\.groups"):
                find(DaemonSelection(socket=path), environ)
        finally:
            os.seteuid(0)
            control.close()


def test_root_finds_the_daemon_of_the_user_whose_file_it_is(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_user.need_root()
    config = tmp_path / "theirs.yaml"
    config.write_text("")
    os.chown(config, other_user.UID, other_user.GID)
    folder = Path(f"/tmp/sightd-{other_user.UID}")
    folder.mkdir(mode=0o700)
    os.chown(folder, other_user.UID, other_user.GID)
    path = default_socket(config, {}, other_user.UID)
    control = open_control(Control(socket=path), config, PeerRoles(), environ, print)
    assert control is not None
    try:
        assert found(DaemonSelection(config=config), environ) == path
        os.chown(folder, other_user.UID + 1, other_user.GID)
        assert found(DaemonSelection(config=config), environ) is None, "a third user's folder is not trusted"
    finally:
        control.close()
        (folder / ".sightd.lock").unlink()
        folder.rmdir()


def test_a_directory_that_others_can_write_to_is_not_looked_into(
    listen: Listen, environ: dict[str, str], tmp_path: Path
) -> None:
    listen(tmp_path / "a.yaml")
    (tmp_path / "run" / "sightd").chmod(0o777)
    assert found(DaemonSelection(), environ) is None
    assert found(DaemonSelection(config=tmp_path / "a.yaml"), environ) is None


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("ExecStart=/x/sightd run -c /etc/a.yaml", InstalledService(Path("/etc/a.yaml"))),
        ('ExecStart="/x y/sightd" run --config="/etc/a b%%c$$d.yaml"', InstalledService(Path("/etc/a b%c$d.yaml"))),
        ("ExecStart=/x run -c /a.yaml\nExecStart=\nExecStart=/x run -c /b.yaml", InstalledService(Path("/b.yaml"))),
        ("ExecStart=/x run \\\n  -c /a.yaml\n# ExecStart=/x run -c /b.yaml", InstalledService(Path("/a.yaml"))),
        (
            'ExecStart=/x run -c /a.yaml\nEnvironment=A=1 "B=2 3"',
            InstalledService(Path("/a.yaml"), {"A": "1", "B": "2 3"}),
        ),
        ("ExecStart=/bin/true", None),
        ("ExecStart=/x run -c 'unfinished", None),
    ],
)
def test_what_a_unit_runs(unit: str, expected: InstalledService | None, tmp_path: Path) -> None:
    (tmp_path / "sightd.service").write_text(f"[Service]\n{unit}\n")
    assert installed_service(tmp_path) == expected
