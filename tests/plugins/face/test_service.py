"""The models of a gallery are loaded once, and closed whenever `close` comes."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from sightd.plugins.face.config import FaceConfig
from sightd.plugins.face.gallery.file import GalleryError
from sightd.plugins.face.gallery.gallery import Gallery
from sightd.plugins.face.matching.calibration import calibration_of
from sightd.plugins.face.service import FaceService


class Models:
    """Counts how often they are loaded and closed; loading waits for `go`."""

    def __init__(self) -> None:
        self.loaded = self.closed = 0
        self.begun, self.go = threading.Event(), threading.Event()
        self.go.set()

    def load(self, stack: ExitStack) -> Any:
        self.loaded += 1
        stack.callback(self._close)
        self.begun.set()
        assert self.go.wait(30)
        return self

    def _close(self) -> None:
        self.closed += 1


def desk_of(models: Models, folder: Path) -> FaceService:
    table = calibration_of("sface")
    assert table is not None
    return FaceService(Gallery(folder / "faces.db"), FaceConfig(), table, models.load)


def test_models_are_loaded_once_closed_once_and_not_loaded_again(tmp_path: Path) -> None:
    models = Models()
    face_service = desk_of(models, tmp_path)
    assert face_service.analyser() is face_service.analyser()
    face_service.close()
    face_service.close()
    assert (models.loaded, models.closed) == (1, 1)
    with pytest.raises(GalleryError, match=r"faces\.db was closed"):
        face_service.analyser()
    assert models.loaded == 1


def test_models_that_are_loading_when_the_gallery_is_closed_are_closed_as_well(tmp_path: Path) -> None:
    models, raised = Models(), list[BaseException]()
    models.go.clear()
    face_service = desk_of(models, tmp_path)

    def ask() -> None:
        try:
            face_service.analyser()
        except GalleryError as error:
            raised.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    assert models.begun.wait(30)
    face_service.close()
    models.go.set()
    thread.join(30)
    assert models.closed == 1
    assert raised
