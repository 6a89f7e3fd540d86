"""Environment of the Python subprocesses that run modules of this package."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import sightd


def with_package_path(environ: Mapping[str, str]) -> dict[str, str]:
    """Returns `environ` with the folder that contains the package `sightd` first on PYTHONPATH.

    `python -P -m sightd…` then finds the same package as this process, whatever the working directory holds.
    """
    folder = str(Path(sightd.__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, [folder, environ.get("PYTHONPATH")]))
    return {**environ, "PYTHONPATH": path}
