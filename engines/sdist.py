"""Source archives of Python packages, without running what is in them.

pip cannot download one without asking its build backend for metadata, which runs the package's own code. Here pip finds
a backend of ours in the place of setuptools, which says what pip knows already, the package's name and version.
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
"""Of pip, with which it takes the backend that it finds."""


def write_backend(folder: Path, name: str, version: str) -> Path:
    """Makes the backend in `folder`; the folder that goes to the front of PYTHONPATH for pip."""
    package = folder / "backend" / "setuptools"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    folder_name = f"{name.replace('-', '_')}-{version}"
    (package / "build_meta.py").write_text(_BACKEND.format(folder=folder_name, name=name, version=version))
    return package.parent
