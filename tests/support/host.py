"""This machine's settings that a Debian root made for tests borrows: its mirror, and pip's configuration."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys


def debian_mirror() -> list[str]:
    """Returns this machine's mirror if it is a Debian; otherwise empty, so debootstrap uses its default."""
    if shutil.which("apt-get") is None:
        return []
    form = ["--format", "$(REPO_URI)", "Created-By: Packages", "Origin: Debian"]
    uris = _output("apt-get", "indextargets", *form).split()
    return [uri for uri in uris if uri.rstrip("/").endswith("/debian")][:1]


def pip_settings() -> dict[str, str]:
    """Returns the values of `pip config list` by option; the environment overrides configuration files."""
    lines = _output(sys.executable, "-m", "pip", "config", "list", check=True).splitlines()
    settings = {}
    for line in sorted(lines, key=lambda line: line.startswith(":env:")):
        name, _, value = line.partition("=")
        settings[name.rpartition(".")[2]] = "".join(shlex.split(value))
    return settings


def pip_variable(option: str) -> str:
    """Returns the environment variable of an option of pip."""
    return f"PIP_{option.replace('-', '_').upper()}"


def _output(*command: str, check: bool = False) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=check, timeout=60).stdout
