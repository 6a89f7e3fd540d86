"""The cache of root file systems for tests on a booted systemd, which several checkouts of a machine share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.systemd import roots
from tests.systemd.roots import KEPT, delete_oldest, in_use, root_of


def make(folder: Path, release: str, key: str, age: float) -> Path:
    """Creates a root that was last used `age` seconds ago."""
    root = folder / f"{release}-{key}"
    (root / "etc").mkdir(parents=True)
    with in_use(root):
        pass
    then = folder.stat().st_mtime - age
    os.utime(folder / f"{root.name}.use", (then, then))
    return root


def test_the_roots_of_other_checkouts_stay_until_there_are_too_many(tmp_path: Path) -> None:
    made = [make(tmp_path, "bookworm", f"key{age}", age) for age in range(KEPT + 2)]
    other = [make(tmp_path, "trixie", "key", 1000.0)]
    delete_oldest(tmp_path, "bookworm")
    assert sorted(one for one in tmp_path.iterdir() if one.is_dir()) == sorted([*made[:KEPT], *other])
    assert len(list(tmp_path.glob("*.use"))) == KEPT + 1, "nothing else of a deleted root is left"


def test_a_root_in_use_stays_whatever_its_age(tmp_path: Path) -> None:
    made = [make(tmp_path, "bookworm", f"key{age}", age) for age in range(KEPT + 1)]
    oldest = make(tmp_path, "bookworm", "oldest", 1000.0)
    with in_use(oldest):
        os.utime(tmp_path / "bookworm-oldest.use", (1.0, 1.0))
        delete_oldest(tmp_path, "bookworm")
        assert oldest.is_dir()
        assert not made[-1].is_dir()
    delete_oldest(tmp_path, "bookworm")
    assert not oldest.exists()


def test_a_root_that_an_earlier_version_made_counts_by_its_own_age(tmp_path: Path) -> None:
    for age in range(KEPT):
        make(tmp_path, "bookworm", f"key{age}", age)
    before = tmp_path / "bookworm-before"
    before.mkdir()
    os.utime(before, (1.0, 1.0))
    delete_oldest(tmp_path, "bookworm")
    assert not before.exists()


def test_two_checkouts_do_not_delete_each_other_s_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    key = "one"

    def stand_in(_release: str, part: Path) -> None:
        made.append(key)
        part.mkdir()

    monkeypatch.setenv("SIGHTD_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(roots, "_make", stand_in)
    monkeypatch.setattr(roots, "_key", lambda: key)
    for key in ("one", "two", "one", "two"):
        with root_of("bookworm") as root:
            assert root.name == f"bookworm-{key}"
            assert root.is_dir()
    assert made == ["one", "two"]
