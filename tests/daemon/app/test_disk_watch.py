"""The disk that holds the state is measured from time to time, whatever it does."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sightd.daemon.app import resources
from sightd.daemon.app.resources import DiskWatch, disk_room
from tests.support.waiting import eventually

pytestmark = pytest.mark.waiting


@contextmanager
def watching(folder: Path) -> Iterator[list[tuple[int, int]]]:
    reports: list[tuple[int, int]] = []
    watch = DiskWatch(folder, lambda free, total: reports.append((free, total)), every=0.01)
    watch.start()
    yield reports
    watch.close()
    assert not watch._thread.is_alive()


def test_free_space_and_size_are_reported_again_and_again_also_before_the_folder_exists(tmp_path: Path) -> None:
    with watching(tmp_path / "later" / "state") as reports:
        eventually(lambda: len(reports) > 2)
    assert {total for _, total in reports} == {shutil.disk_usage(tmp_path).total}
    assert all(0 < free < total for free, total in reports)


def test_a_disk_that_cannot_be_measured_reports_nothing_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:

        def fail(_path: Path) -> None:
            raise OSError("the disk is gone")

        broken.setattr(resources.shutil, "disk_usage", fail)  # type: ignore[attr-defined]
        assert disk_room(tmp_path) == (None, None)
        with watching(tmp_path) as reports:
            time.sleep(0.05)
            assert reports == []
            broken.undo()
            eventually(lambda: bool(reports))


def test_a_disk_that_does_not_respond_delays_no_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answering = threading.Event()

    def wait(_directory: Path) -> tuple[None, None]:
        answering.wait(20)
        return None, None

    monkeypatch.setattr(resources, "disk_room", wait)
    watch = DiskWatch(tmp_path, lambda _free, _total: None)
    watch.start()
    began = time.monotonic()
    watch.close(deadline=0.05)
    assert time.monotonic() - began < 15, "it is abandoned"
    answering.set()
