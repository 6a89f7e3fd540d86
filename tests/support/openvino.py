"""The real OpenVINO for tests, in a cache folder because it is too large to install for everyone."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import pytest

from sightd.engines.files import cache_directory, locked

VERSION = "2026.4.1"


def openvino_importable() -> None:
    """Makes `import openvino` work. Skips the test if the package is not available."""
    if reason := _made_importable():
        pytest.skip(reason)


@cache
def _made_importable() -> str:
    """Returns why it cannot be imported; empty if it can. Tried only once."""
    if importlib.util.find_spec("openvino"):
        return ""
    target = cache_directory(os.environ) / "tools" / f"openvino-{VERSION}"
    if not target.is_dir():
        with locked(target.parent / ".lock", "OpenVINO"):
            try:
                _install(target)
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
                return f"openvino {VERSION} could not be installed: pip failed ({type(error).__name__})"
    sys.path.append(str(target))
    return ""


def _install(target: Path) -> None:
    if target.is_dir():  # another process was first
        return
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:", "--retries=1"]
    with tempfile.TemporaryDirectory(prefix=".openvino-", dir=target.parent) as scratch:
        made = Path(scratch) / "made"
        command = [*pip, f"--target={made}", f"openvino=={VERSION}"]
        subprocess.run(command, check=True, capture_output=True, timeout=100)
        made.rename(target)
