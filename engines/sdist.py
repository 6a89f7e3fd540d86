"""Lets pip download source archives of Python packages without running their code.

To download one, pip asks the package's build backend for metadata, which runs the package's own code. Instead, pip
finds our stub in place of setuptools; it reports the package name and version, which pip already knows.
"""

from __future__ import annotations

from pathlib import Path

_BACKEND = '''"""Says the name and version that were asked for, and builds nothing."""

import pathlib
import sys


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    folder = pathlib.Path(metadata_directory) / "{folder}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
    return folder.name


__legacy__ = sys.modules[__name__]
'''

ARGUMENTS = ("--no-binary=:all:", "--use-pep517", "--no-build-isolation")
"""Arguments that make pip use the stub backend."""


def write_backend(folder: Path, name: str, version: str) -> Path:
    """Writes the stub backend to `folder`. Returns the folder that must come first in pip's PYTHONPATH."""
    package = folder / "backend" / "setuptools"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    folder_name = f"{name.replace('-', '_')}-{version}"
    (package / "build_meta.py").write_text(_BACKEND.format(folder=folder_name, name=name, version=version))
    return package.parent
