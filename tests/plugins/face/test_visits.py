"""Visits are written on a thread of their own; what goes wrong there is logged."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from sightd.plugins.face.gallery.gallery import Gallery
from sightd.plugins.face.gallery.sightings import Best
from sightd.plugins.face.matching.calibration import calibration_of
from sightd.plugins.face.visits import Keeping, Visit, VisitBook
from tests.plugins.face.gallery.faces import face, vector


def test_a_series_of_failed_writes_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    gallery = Gallery(tmp_path / "faces.db")
    ada = gallery.add("Ada", [face(1)])
    gallery.database.rows(f"PRAGMA max_page_count = {gallery.database.rows('PRAGMA page_count')[0][0]}")
    table = calibration_of("sface")
    assert table is not None
    book = VisitBook(gallery, "sface", table, Keeping(False, 10, 3600.0))
    reason = "a" * 100_000  # does not fit into the pages that are left
    for start in range(3):
        now = time.time() + start
        book.note(Visit("hall", now, now + 1, ada.id, 0.9, 0.5, reason, vector(1), 1.0, Best(0.9, None)))
    book.close()
    gallery.close()
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "a visit could not be stored: " in record.getMessage()
    assert "free disk space" in record.getMessage()
