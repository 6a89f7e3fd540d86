"""The plug-in of `examples/motion`, installed as users install it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "motion"


def install_example(folder: Path) -> Path:
    """Copies the example's source below `folder`, as if it were somebody else's, and installs it with pip where only
    those see it who have the returned folder on their path."""
    source, target = folder / "source", folder / "site"
    shutil.copytree(EXAMPLE, source, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*pip, "--target", str(target), str(source)], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return target


def environment_with(site: Path) -> dict[str, str]:
    """Returns the variables of a process that sees the packages installed in `site`."""
    return {"PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}
