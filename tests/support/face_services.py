"""A face service with the catalogue's models, for tests."""

from __future__ import annotations

from pathlib import Path

from sightd.daemon.faces.service import FaceService
from sightd.plugins.face.config import FaceConfig
from sightd.plugins.face.gallery.gallery import Gallery
from sightd.plugins.face.matching.calibration import calibration_of
from tests.support.faces import analyser


def open_test_face_service(path: Path) -> FaceService:
    table = calibration_of("sface")
    assert table is not None
    return FaceService(Gallery(path), FaceConfig(), table, lambda _: analyser())
