"""A gallery's desk with the catalogue's networks, for tests."""

from __future__ import annotations

from pathlib import Path

from daemon.faces.desk import FaceDesk
from plugins.face.calibration import calibration_of
from plugins.face.config import FaceConfig
from plugins.face.gallery.gallery import Gallery
from tests.support.faces import analyser


def open_test_desk(path: Path) -> FaceDesk:
    table = calibration_of("sface")
    assert table is not None
    return FaceDesk(Gallery(path), FaceConfig(), table, lambda _: analyser())
