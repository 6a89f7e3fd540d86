"""The real NVRTC for tests: the installed one, or else the wheel, downloaded once into its own folder."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import pytest

from sightd.engines.cuda.compile import CompilerUnavailableError, Nvrtc, find_library
from sightd.engines.files import cache_directory

_WHEEL = "nvidia-cuda-nvrtc==13.5.37"
"""58 MB to download, 148 MB on disk: too large for a general dependency."""


def compiler() -> Nvrtc:
    """Returns the NVRTC compiler. Skips the test if it is not installed and cannot be downloaded."""
    found = _compiler()
    if isinstance(found, str):
        pytest.skip(found)
    return found


@cache
def _compiler() -> Nvrtc | str:
    try:
        return Nvrtc(find_library())
    except CompilerUnavailableError:
        pass
    target = cache_directory(os.environ) / "test-kernels" / _WHEEL
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:"]
            try:
                done = subprocess.run(
                    [*pip, "--target", f"{folder}/whole", _WHEEL],
                    capture_output=True,
                    text=True,
                    timeout=100,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                return f"needs NVRTC, and downloading {_WHEEL} took too long"
            if done.returncode != 0:
                return f"needs NVRTC, and {_WHEEL} could not be downloaded: {done.stderr.strip().splitlines()[-1:]}"
            Path(folder, "whole").rename(target)
    return Nvrtc(find_library(list(target.glob("nvidia/*/lib"))))
