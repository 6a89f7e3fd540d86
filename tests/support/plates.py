"""A package of somebody else that brings models of a role of its own, "plate-detector", and its installation."""

from __future__ import annotations

from pathlib import Path

import pytest

ROLE = "plate-detector"
MODULE = "plates_of_somebody_else"
"""Name of its module."""

_CODE = """
import numpy as np
from sightd.plugins.api import Boxes

def box_reader(model):
    def read(outputs):
        return [Boxes(boxes, np.full(len(boxes), 0.9), np.zeros(len(boxes), int)) for boxes in outputs["plates"]]
    return read

def drift(reference, other, pictures):
    return f"all {len(pictures)} plates of {reference.model.name} read again"
"""


def installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Installs it under `folder`, as pip would, for this process and until the end of the test."""
    about = folder / "plates-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: plates\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        f"[sightd.box_readers]\n{ROLE} = {MODULE}:box_reader\n[sightd.drift]\n{ROLE} = {MODULE}:drift\n"
    )
    (folder / f"{MODULE}.py").write_text(_CODE)
    monkeypatch.syspath_prepend(folder)
