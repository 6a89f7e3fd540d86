"""Subprocesses of this package find the same package as their parent."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import sightd
from sightd.engines.subprocess_path import with_package_path


def test_a_subprocess_finds_this_package_even_if_another_one_lies_in_its_folder(tmp_path: Path) -> None:
    other = tmp_path / "sightd"
    other.mkdir()
    (other / "__init__.py").touch()
    lines = "import sightd; print(sightd.__file__)"
    found = subprocess.run(
        [sys.executable, "-P", "-S", "-c", lines],  # -S: the package is not installed
        cwd=tmp_path, env=with_package_path({"PYTHONPATH": str(tmp_path)}), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert found.stdout.strip() == sightd.__file__
