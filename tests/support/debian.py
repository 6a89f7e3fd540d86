"""Programs from Debian packages, unpacked but not installed, so a test leaves no service on the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

from sightd.engines.files import cache_directory


@cache
def program(name: str, package: str) -> str:
    """Returns the program's path: from the PATH, or unpacked into the cache, now if needed. Skips the test if it is not
    available."""
    if found := shutil.which(name):
        return found
    return str(unpacked(package) / "usr" / "bin" / name)


@cache
def unpacked(package: str, *libraries: str) -> Path:
    """Returns the folder in the cache into which the package, and those of its libraries that may be missing, are
    unpacked, now if needed. Skips the test if one is not available."""
    folder = cache_directory(os.environ) / "tools" / package
    if not folder.exists():
        _unpack([package, *libraries], folder)
    return folder


def _unpack(packages: Sequence[str], folder: Path) -> None:
    package = packages[0]
    if shutil.which("apt-get") is None:
        pytest.skip(f"{package} is not installed, and there is no apt-get to download it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        done = _run("apt-get", "download", "-qq", *packages, cwd=scratch)
        if done.returncode != 0 and os.geteuid() == 0:  # the package lists may be missing
            _run("apt-get", "update", "-qq", cwd=scratch)
            done = _run("apt-get", "download", "-qq", *packages, cwd=scratch)
        archives = list(Path(scratch).glob("*.deb"))
        if len(archives) < len(packages):
            pytest.skip(f"{package} could not be downloaded from Debian: {done.stderr.strip()}")
        target = Path(scratch) / "unpacked"
        for archive in archives:
            subprocess.run(["dpkg-deb", "--extract", archive, target], check=True)
        if not folder.exists():
            target.rename(folder)


def _run(*command: str, cwd: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
