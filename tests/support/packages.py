"""Packages of other people, installed where only chosen processes see them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

_SUPPORT = Path(__file__).resolve().parent


def package(folder: Path, name: str, entry_points: Mapping[str, Mapping[str, str]], **modules: str) -> Path:
    """Writes a distribution with entry points (group → name → value) and modules (name → source) into a folder for
    PYTHONPATH. Returns the folder."""
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    sections = [
        f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in entries.items())
        for group, entries in entry_points.items()
    ]
    (metadata / "entry_points.txt").write_text("\n".join(sections))
    for module, source in modules.items():
        (folder / f"{module}.py").write_text(source)
    return folder


def tally(folder: Path) -> Path:
    """Installs `tests/support/tally` there: a plug-in with a service, two routes and a command. Returns the folder."""
    points = {
        "sightd.plugins": {"tally": "tally.plugin:Tally"},
        "sightd.routes": {"tally": "tally.plugin:Tally"},
        "sightd.commands": {"tally": "tally.command:COMMAND"},
    }
    shutil.copytree(_SUPPORT / "tally", folder / "tally", ignore=shutil.ignore_patterns("__pycache__"))
    return package(folder, "tally", points)
