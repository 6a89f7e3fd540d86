"""A face service with the catalogue's models, for tests."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI

from sightd.daemon.serve.auth import Access
from sightd.daemon.serve.http.routes_plugins import PluginRoutes
from sightd.plugins.face.config import FaceConfig
from sightd.plugins.face.gallery.gallery import Gallery
from sightd.plugins.face.matching.calibration import calibration_of
from sightd.plugins.face.routes import ROUTES
from sightd.plugins.face.service import FaceService
from tests.support.faces import analyser


def open_test_face_service(path: Path) -> FaceService:
    table = calibration_of("sface")
    assert table is not None
    return FaceService(Gallery(path), FaceConfig(), table, lambda _: analyser())


def with_face_routes(app: FastAPI, service: FaceService, access: Access) -> FastAPI:
    """Returns the application with the face plug-in's routes, for this service."""
    PluginRoutes(app, lambda _kind, _plugin: service, access).add("face", ROUTES)
    return app
