"""The installed systemd service, as defined by its unit: its configuration and its state directory."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

UNIT_FOLDER = Path("/etc/systemd/system")
STATE = Path("/var/lib/sightd")
"""StateDirectory=sightd; with DynamicUser= it is a link into /var/lib/private."""
_UNIT = "sightd.service"


@dataclass(frozen=True, slots=True)
class InstalledService:
    """The installed service. `environ` holds the unit's Environment= settings."""

    config: Path
    environ: Mapping[str, str] = field(default_factory=dict)

    def runs(self, config: Path) -> bool:
        """Returns whether the service runs this configuration file."""
        return os.path.realpath(config) == os.path.realpath(self.config)

    def environment(self, own: Mapping[str, str]) -> dict[str, str]:
        """Returns a command's environment (`own`) with the unit's settings, and the service's state directory instead
        of the user's."""
        kept = {name: value for name, value in own.items() if name != "SIGHTD_STATE_DIR"}
        return {**kept, "STATE_DIRECTORY": str(STATE), **self.environ}


def installed_service(folder: Path | None = None) -> InstalledService | None:
    """Reads the unit and its drop-ins. Returns None if the service is not installed, or if its unit runs something
    else."""
    command: list[str] = []
    environ: dict[str, str] = {}
    for key, value in _settings(UNIT_FOLDER if folder is None else folder):
        if key == "ExecStart":
            command = _words(value)
        elif key == "Environment":
            environ |= dict(word.split("=", 1) for word in _words(value) if "=" in word) if value else {}
    config = _config_of(command)
    return None if config is None else InstalledService(config, environ)


def service_of(config: Path | None) -> InstalledService | None:
    """Returns the installed service if a command that names `config` (None: no file) is about it."""
    service = installed_service()
    return service if service is not None and (config is None or service.runs(config)) else None


def _settings(folder: Path) -> Iterator[tuple[str, str]]:
    for file in (folder / _UNIT, *sorted((folder / f"{_UNIT}.d").glob("*.conf"))):
        try:
            text = file.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            continue
        for line in text.replace("\\\n", " ").splitlines():
            key, equals, value = line.partition("=")
            if equals and not line.lstrip().startswith(("#", ";")):
                yield key.strip(), value.strip()


def _words(value: str) -> list[str]:
    """Splits a command line of a unit into words, quoted and escaped as in systemd.service(5); none if it is
    malformed."""
    try:
        words = shlex.split(value)
    except ValueError:
        return []
    return [word.replace("%%", "%").replace("$$", "$") for word in words]


def _config_of(command: list[str]) -> Path | None:
    for number, word in enumerate(command):
        if word in ("-c", "--config") and number + 1 < len(command):
            return Path(command[number + 1])
        if word.startswith("--config="):
            return Path(word.partition("=")[2])
    return None
