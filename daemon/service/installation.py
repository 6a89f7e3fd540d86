"""Installs and removes the systemd service."""

from __future__ import annotations

import grp
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

from sightd.daemon.service.systemd import UNIT, SystemdError, require_running, systemctl, version
from sightd.daemon.service.unit import GROUPS, LEAST, UnitPathError, unit

_SPLITS_CREDENTIALS = 255
"""First systemd version that fails on a credential path with a space ("Failed to deserialize"): it passes the path to
the process that starts the service as separate words."""
FOLDER = Path("/etc/systemd/system")


class InstallationError(Exception):
    """The service cannot be installed this way; the message says what to change."""


def missing_groups() -> list[str]:
    """Groups that own cameras and GPUs but do not exist on this machine."""
    return [name for name in GROUPS if not _is_group(name)]


def unit_text(
    config: Path, credentials: Mapping[str, Path], executable: Path | None = None, *, control: bool = True
) -> str:
    """Returns the unit for this installation. Raises InstallationError if the service could not run, SystemdError if
    systemd is too old or missing."""
    known = version()
    if known < LEAST:
        raise SystemdError(f"systemd {known} is too old: at least {LEAST} is required")
    program = executable or Path(sys.executable).parent / "sightd"
    for what, path in {"the program": program, "the configuration": config, **_named(credentials)}.items():
        if not path.is_absolute() or not path.exists():
            raise InstallationError(f"{what} {path} does not exist or is not an absolute path")
    for what, path in {"the program": program, "the configuration": config}.items():  # systemd reads the credentials
        if blocked := _blocked(path):
            raise InstallationError(
                f"{what} {path} cannot be reached by the service, which runs as a separate user without "
                f"access to {blocked}. Move it to a folder that other users can read, such as /opt/sightd or "
                "/etc/sightd"
            )
    for name, path in credentials.items():
        if known >= _SPLITS_CREDENTIALS and " " in str(path):
            raise InstallationError(
                f"systemd {known} cannot load the credential {name} from {path}, because the path contains a "
                "space. Rename the file"
            )
    missing = missing_groups()
    try:
        groups = [name for name in GROUPS if name not in missing]
        return unit(program, config, credentials, groups=groups, control=control)
    except UnitPathError as error:
        raise InstallationError(str(error)) from error


def install(text: str, folder: Path = FOLDER) -> Path:
    """Writes the unit, makes systemd load it, and starts the service now and at each boot. Returns the unit's path."""
    require_running()
    path = folder / UNIT
    new = path.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)
    systemctl("daemon-reload")
    systemctl("enable", UNIT)
    systemctl("restart", UNIT)
    return path


def uninstall(folder: Path = FOLDER) -> bool:
    """Stops the service and removes its unit, but keeps its state. Returns False if it was not installed."""
    require_running()
    path = folder / UNIT
    if not path.exists():
        return False
    systemctl("disable", "--now", UNIT)
    path.unlink()
    systemctl("daemon-reload")
    return True


def _is_group(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def _named(credentials: Mapping[str, Path]) -> dict[str, Path]:
    return {f"the credential {name}": path for name, path in credentials.items()}


def _blocked(path: Path) -> Path | None:
    """Returns the first parent directory that other users cannot enter, the file if they cannot read it, or None. Home
    directories are hidden from the service."""
    resolved = path.resolve()
    for folder in reversed(resolved.parents):
        if folder in (Path("/home"), Path("/root"), Path("/run/user")) or not folder.stat().st_mode & stat.S_IXOTH:
            return folder
    return None if resolved.stat().st_mode & stat.S_IROTH else resolved
