"""The API serves the galleries of the running face plug-ins, also after a reload."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sightd.daemon.config.load import LoadedConfig, load_text
from sightd.daemon.config.plugin_entries import installed_plugins
from sightd.daemon.faces import service
from sightd.daemon.faces.served import ServedFaces
from sightd.daemon.faces.service import NoFacesError
from sightd.plugins.face.gallery.errors import GalleryError


def no_engine(choice: object, threads: int, config: object) -> Any:
    raise AssertionError("no model is needed")


def loaded(folder: Path, **plugins: dict[str, Any]) -> LoadedConfig:
    """Returns a configuration whose only camera runs these plug-ins."""
    camera = {"source": "testpattern://", "chain": list(plugins)}
    text = yaml.safe_dump({"cameras": {"a": camera}, "plugins": plugins})
    return load_text(text, folder / "site.yaml", environ={}, plugins=installed_plugins())


@pytest.fixture
def faces(tmp_path: Path) -> Iterator[ServedFaces]:
    served = ServedFaces(no_engine, {"SIGHTD_STATE_DIR": str(tmp_path / "state")}, lambda _able: None)
    yield served
    served.close()


def test_without_a_face_plugin_there_is_no_gallery_and_no_file(faces: ServedFaces, tmp_path: Path) -> None:
    faces.serve(faces.opened(loaded(tmp_path)))
    with pytest.raises(NoFacesError, match="runs no face plug-in: add one to a chain, then `sightd reload`"):
        faces.face_service()
    assert not (tmp_path / "state").exists()
    assert faces.fault is None


def test_a_reload_brings_changes_and_takes_away_galleries(faces: ServedFaces, tmp_path: Path) -> None:
    faces.serve(faces.opened(loaded(tmp_path, face={})))
    first = faces.face_service()
    assert first.gallery.database.path == tmp_path / "state" / "faces.db"
    faces.serve(faces.opened(loaded(tmp_path, face={})))
    assert faces.face_service() is first, "what did not change stays open"
    faces.serve(faces.opened(loaded(tmp_path, face={"gallery": "other.db"})))
    assert faces.face_service().gallery.database.path == tmp_path / "other.db"
    with pytest.raises(GalleryError):
        first.gallery.persons()  # it is closed
    faces.serve(faces.opened(loaded(tmp_path)))
    with pytest.raises(NoFacesError):
        faces.face_service()


def test_of_several_galleries_one_has_to_be_chosen(faces: ServedFaces, tmp_path: Path) -> None:
    two = loaded(tmp_path, door={"use": "face", "gallery": "door.db"}, hall={"use": "face", "gallery": "hall.db"})
    faces.serve(faces.opened(two))
    with pytest.raises(NoFacesError, match=r"several galleries: choose with --plugin door \| hall"):
        faces.face_service()
    assert faces.face_service("hall").gallery.database.path == tmp_path / "hall.db"
    with pytest.raises(NoFacesError, match="no face plug-in 'yard', only: door, hall"):
        faces.face_service("yard")
    shared = loaded(tmp_path, door={"use": "face", "gallery": "x.db"}, hall={"use": "face", "gallery": "x.db"})
    faces.serve(faces.opened(shared))
    assert faces.face_service().gallery.database.path == tmp_path / "x.db", "one gallery needs no choice"


def test_a_configuration_that_is_refused_leaves_what_is_served(
    faces: ServedFaces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces.serve(faces.opened(loaded(tmp_path, face={})))
    before = faces.face_service()
    opened = faces.opened(loaded(tmp_path, face={"gallery": "other.db"}))
    faces.discard(opened)
    assert faces.face_service() is before
    assert before.gallery.persons() == []
    with pytest.raises(GalleryError):
        opened["face"].face_service.gallery.persons()
    monkeypatch.setattr(service, "calibration_of", lambda _recogniser: None)
    both = {"face": {}, "second": {"use": "face", "gallery": "other.db"}}
    with pytest.raises(GalleryError, match="has no calibration"):
        faces.opened(loaded(tmp_path, **both))
    assert before.gallery.persons() == [], "what was open stays open"
