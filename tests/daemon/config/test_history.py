"""Versions of the configuration are kept privately, and only so many."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from sightd.daemon.config import history
from sightd.daemon.config.history import ConfigHistory


def test_versions_come_newest_first_with_who_and_what(tmp_path: Path) -> None:
    kept = ConfigHistory(tmp_path / "configuration")
    assert kept.versions() == []
    kept.add("a: 1\n", 10.0, None, "")
    kept.add("a: 2\r\nb: ü\n", 20.0, "anna", "cameras added: b")
    assert [(one.id, one.who, one.changes) for one in kept.versions()] == [
        (2, "anna", "cameras added: b"),
        (1, None, ""),
    ]
    assert kept.text(2) == "a: 2\r\nb: ü\n"
    with pytest.raises(KeyError):
        kept.text(3)


def test_the_newest_version_is_not_stored_twice(tmp_path: Path) -> None:
    kept = ConfigHistory(tmp_path)
    first = kept.add("a: 1\n", 10.0, None, "")
    assert kept.add("a: 1\n", 20.0, "anna", "") == first


def test_only_its_user_can_read_them(tmp_path: Path) -> None:
    kept = ConfigHistory(tmp_path / "state" / "configuration")
    kept.add("secret", 10.0, None, "")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state").rglob("*")}
    assert modes == {0o700, 0o600}


def test_the_oldest_are_deleted_beyond_the_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MOST_VERSIONS", 3)
    kept = ConfigHistory(tmp_path)
    for number in range(5):
        kept.add(f"a: {number}", float(number), None, "")
    assert [one.id for one in kept.versions()] == [5, 4, 3]
    monkeypatch.setattr(history, "MOST_BYTES", 1000)
    kept.add("x" * 900, 9.0, None, "")
    assert [one.id for one in kept.versions()] == [6]


def test_a_damaged_version_is_left_out(tmp_path: Path) -> None:
    kept = ConfigHistory(tmp_path)
    kept.add("a: 1", 1.0, None, "")
    (tmp_path / "00000002.version").write_bytes(b"\xff\n")
    assert [one.id for one in kept.versions()] == [1]
    assert kept.add("a: 2", 2.0, None, "").id == 3
