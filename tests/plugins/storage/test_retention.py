"""Files are deleted before their time if the disk is nearly full, which is reported for a while."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightd.plugins.storage.retention import Limits, Retention

_NOW = 1_700_000_000.0


class Files:
    """Files of one byte each, as `StoredFiles`, by the time when they ended."""

    def __init__(self, *ends: float) -> None:
        self.ends = sorted(ends)

    def oldest(self, before: float = float("inf")) -> float | None:
        return next((end for end in self.ends if end < before), None)

    def newest(self) -> float | None:
        return max(self.ends, default=None)

    def total(self) -> int:
        return len(self.ends)

    def delete(self, one: float, reason: str) -> None:
        self.ends.remove(one)


class Disk:
    """A disk's free bytes, and a clock."""

    def __init__(self) -> None:
        self.free, self.now = 1000, _NOW

    def retention(self, files: Files) -> Retention[float]:
        limits = Limits(age=3600, size=100, min_free=500)
        return Retention(
            Path("/media"), limits, files, "lower max_size", free=lambda _: self.free, clock=lambda: self.now
        )


def test_a_shortage_of_space_is_reported_for_ten_minutes_with_what_to_do() -> None:
    disk = Disk()
    retention = disk.retention(Files(_NOW - 20, _NOW - 10))
    assert retention.shortage is None
    assert retention.make_room()
    disk.now += 599
    assert retention.shortage == (
        "the disk of /media is nearly full: the oldest files are deleted before their time; free disk space, lower "
        "max_size"
    )
    disk.now += 2
    assert retention.shortage is None


def test_files_deleted_for_their_age_are_no_shortage() -> None:
    files = Files(_NOW - 4000, _NOW - 10)
    retention = Disk().retention(files)
    retention.tidy()
    assert (files.ends, retention.shortage) == ([_NOW - 10], None)


@pytest.mark.parametrize(("free", "left"), [(499, []), (500, [_NOW - 10])])
def test_space_is_made_while_less_than_the_limit_is_free(free: int, left: list[float]) -> None:
    disk, files = Disk(), Files(_NOW - 10)
    disk.free = free
    retention = disk.retention(files)
    retention.tidy()
    assert (files.ends, retention.shortage is None) == (left, bool(left))
