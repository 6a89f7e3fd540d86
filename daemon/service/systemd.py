"""Queries and controls systemd through its command-line tools."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

UNIT = "sightd.service"


class SystemdError(Exception):
    """systemd is missing or refuses; the message says what to do."""


def version() -> int:
    """Version of the installed systemd. Raises SystemdError if there is none."""
    found = re.search(r"systemd (\d+)", _run("systemd-analyze", "--version"))
    if found is None:
        raise SystemdError("systemd-analyze does not report its version")
    return int(found[1])


def require_running() -> None:
    """Raises SystemdError unless systemd runs this machine."""
    if not Path("/run/systemd/system").is_dir():
        raise SystemdError(
            "this machine was not booted with systemd (a container?): print the unit with `sightd "
            "service install --print`, or start `sightd run` by other means"
        )


def systemctl(*arguments: str) -> str:
    """Runs systemctl and returns its output. Raises SystemdError if it fails."""
    return _run("systemctl", *arguments)


def properties(*names: str) -> dict[str, str]:
    """Properties of the service by name; they are empty if it is not installed."""
    text = systemctl("show", UNIT, *(f"--property={name}" for name in names))
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def _run(program: str, *arguments: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise SystemdError(f"{program} was not found: this system does not use systemd")
    done = subprocess.run([path, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}"
        raise SystemdError(f"{program} {' '.join(arguments)}: {reason}")
    return done.stdout
