"""Programs from Debian packages, unpacked but not installed, so a test leaves no service on the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
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
    folder = cache_directory(os.environ) / "tools" / package
    unpacked = folder / "usr" / "bin" / name
    if not unpacked.exists():
        _unpack(package, folder)
    return str(unpacked)


def _unpack(package: str, folder: Path) -> None:
    if shutil.which("apt-get") is None:
        pytest.skip(f"{package} is not installed, and there is no apt-get to download it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        done = _run("apt-get", "download", "-qq", package, cwd=scratch)
        if done.returncode != 0 and os.geteuid() == 0:  # the package lists may be missing
            _run("apt-get", "update", "-qq", cwd=scratch)
            done = _run("apt-get", "download", "-qq", package, cwd=scratch)
        archives = list(Path(scratch).glob("*.deb"))
        if not archives:
            pytest.skip(f"{package} could not be downloaded from Debian: {done.stderr.strip()}")
        target = Path(scratch) / "unpacked"
        subprocess.run(["dpkg-deb", "--extract", archives[0], target], check=True)
        if not folder.exists():
            target.rename(folder)


def _run(*command: str, cwd: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
