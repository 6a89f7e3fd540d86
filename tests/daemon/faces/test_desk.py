"""The models of a gallery are loaded once, and closed whenever `close` comes."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from sightd.daemon.faces.desk import FaceDesk
from sightd.plugins.face.calibration import calibration_of
from sightd.plugins.face.config import FaceConfig
from sightd.plugins.face.gallery.errors import GalleryError
from sightd.plugins.face.gallery.gallery import Gallery


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


def desk_of(models: Models, folder: Path) -> FaceDesk:
    table = calibration_of("sface")
    assert table is not None
    return FaceDesk(Gallery(folder / "faces.db"), FaceConfig(), table, models.load)


def test_models_are_loaded_once_closed_once_and_not_loaded_again(tmp_path: Path) -> None:
    models = Models()
    desk = desk_of(models, tmp_path)
    assert desk.analyser() is desk.analyser()
    desk.close()
    desk.close()
    assert (models.loaded, models.closed) == (1, 1)
    with pytest.raises(GalleryError, match=r"faces\.db was closed"):
        desk.analyser()
    assert models.loaded == 1


def test_models_that_are_loading_when_the_gallery_is_closed_are_closed_as_well(tmp_path: Path) -> None:
    models, raised = Models(), list[BaseException]()
    models.go.clear()
    desk = desk_of(models, tmp_path)

    def ask() -> None:
        try:
            desk.analyser()
        except GalleryError as error:
            raised.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    assert models.begun.wait(30)
    desk.close()
    models.go.set()
    thread.join(30)
    assert models.closed == 1
    assert raised
