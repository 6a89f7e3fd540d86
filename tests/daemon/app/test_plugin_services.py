"""The API serves the galleries of the running face plug-ins, also after a reload."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import yaml

from sightd.daemon.app import plugin_services
from sightd.daemon.app.plugin_services import NoServiceError, PluginServices
from sightd.daemon.config.load import LoadedConfig, load_text
from sightd.daemon.config.plugin_entries import installed_plugins
from sightd.engines.errors import EngineError
from sightd.plugins.api import (
    AnyPlugin,
    Mode,
    Plugin,
    PluginConfig,
    PluginError,
    PluginService,
    ServiceContext,
    Storage,
)
from sightd.plugins.configuration import registry
from sightd.plugins.face import service
from sightd.plugins.face.gallery.file import GalleryError
from sightd.plugins.face.service import FaceService
from tests.support.waiting import eventually


def no_engine(choice: object, threads: int, config: object) -> Any:
    raise AssertionError("no model is needed")


def loaded(folder: Path, **plugins: dict[str, Any]) -> LoadedConfig:
    """Returns a configuration whose only camera runs these plug-ins."""
    camera = {"source": "testpattern://", "chain": list(plugins)}
    text = yaml.safe_dump({"cameras": {"a": camera}, "plugins": plugins})
    return load_text(text, folder / "site.yaml", environ={}, plugins=installed_plugins())


def face_service(services: PluginServices, plugin: str | None = None) -> FaceService:
    found = services.service("face", plugin)
    assert isinstance(found, FaceService)
    return found


@pytest.fixture
def services(tmp_path: Path) -> Iterator[PluginServices]:
    served = PluginServices(no_engine, {"SIGHTD_STATE_DIR": str(tmp_path / "state")}, lambda _label, _able: None)
    yield served
    served.close()


def test_without_a_face_plugin_there_is_no_gallery_and_no_file(services: PluginServices, tmp_path: Path) -> None:
    services.serve(services.opened(loaded(tmp_path)))
    with pytest.raises(NoServiceError, match="runs no face plug-in: add face to a chain, then `sightd reload`"):
        face_service(services)
    assert not (tmp_path / "state").exists()
    assert services.faults == []


def test_a_reload_brings_changes_and_takes_away_galleries(services: PluginServices, tmp_path: Path) -> None:
    services.serve(services.opened(loaded(tmp_path, face={})))
    first = face_service(services)
    assert first.gallery.database.path == tmp_path / "state" / "faces.db"
    services.serve(services.opened(loaded(tmp_path, face={})))
    assert face_service(services) is first, "what did not change stays open"
    services.serve(services.opened(loaded(tmp_path, face={"gallery": "other.db"})))
    assert face_service(services).gallery.database.path == tmp_path / "other.db"
    with pytest.raises(GalleryError):
        first.gallery.persons()  # it is closed
    services.serve(services.opened(loaded(tmp_path)))
    with pytest.raises(NoServiceError):
        face_service(services)


def test_of_several_galleries_one_has_to_be_chosen(services: PluginServices, tmp_path: Path) -> None:
    two = loaded(tmp_path, door={"use": "face", "gallery": "door.db"}, hall={"use": "face", "gallery": "hall.db"})
    services.serve(services.opened(two))
    with pytest.raises(NoServiceError, match=r"several galleries: choose with --plugin door \| hall"):
        face_service(services)
    assert face_service(services, "hall").gallery.database.path == tmp_path / "hall.db"
    with pytest.raises(NoServiceError, match="no face plug-in 'yard', only: door, hall"):
        face_service(services, "yard")
    shared = loaded(tmp_path, door={"use": "face", "gallery": "x.db"}, hall={"use": "face", "gallery": "x.db"})
    services.serve(services.opened(shared))
    assert face_service(services).gallery.database.path == tmp_path / "x.db", "one gallery needs no choice"


def test_a_configuration_that_is_refused_leaves_what_is_served(
    services: PluginServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services.serve(services.opened(loaded(tmp_path, face={})))
    before = face_service(services)
    opened = services.opened(loaded(tmp_path, face={"gallery": "other.db"}))
    services.discard(opened)
    assert face_service(services) is before
    assert before.gallery.persons() == []
    refused = opened["face"].service
    assert isinstance(refused, FaceService)
    with pytest.raises(GalleryError):
        refused.gallery.persons()
    monkeypatch.setattr(service, "calibration_of", lambda _recogniser: None)
    both = {"face": {}, "second": {"use": "face", "gallery": "other.db"}}
    with pytest.raises(GalleryError, match="has no calibration"):
        services.opened(loaded(tmp_path, **both))
    assert before.gallery.persons() == [], "what was open stays open"


class Store(PluginService):
    """Keeps something in a file that cannot be written while `fault` is set."""

    def __init__(self, path: Path) -> None:
        self.path, self.fault, self.closed = path, "the disk is full", 0

    def storage(self) -> Storage:
        return Storage(self.path, self.fault, "ledger", "ledgers", "nothing can be booked")

    def recover(self) -> str | None:
        return self.fault or None

    def close(self) -> None:
        self.closed += 1


class Keeper(Plugin[PluginConfig]):
    """Its service is a `Store`; opening it fails if the instance is to run every 9th frame, or as a bug would every
    8th."""

    @classmethod
    def open_service(cls, config: PluginConfig, context: ServiceContext, mode: Mode) -> Store | None:
        assert mode is Mode.SERVE
        if config.every == 9:
            raise EngineError("the model is missing")
        if config.every == 8:
            raise KeyError("a bug")
        return None if config.every == 7 else Store(Path(context.environ["SIGHTD_STATE_DIR"]) / "ledger")


@pytest.fixture
def keeper(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes `Keeper` the plug-in `tracker`."""
    load = registry.load

    def keeper_or(name: str, entries: Mapping[str, EntryPoint] | None = None) -> type[AnyPlugin]:
        return Keeper if name == "tracker" else load(name, entries)

    monkeypatch.setattr(registry, "load", keeper_or)


def kept(folder: Path, every: int) -> LoadedConfig:
    found = loaded(folder, ledger={"use": "face"})
    return replace(found, plugin_configs={"ledger": PluginConfig(use="tracker", every=every)})


def test_a_file_that_cannot_be_written_is_reported_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keeper: None, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(plugin_services, "_RETRY_EVERY", 0.01)
    told: list[tuple[str, bool]] = []
    services = PluginServices(no_engine, {"SIGHTD_STATE_DIR": str(tmp_path)}, lambda *one: told.append(one))
    services.serve(services.opened(kept(tmp_path, 1)))
    store = services.service("tracker")
    assert isinstance(store, Store)
    eventually(lambda: services.faults == ["nothing can be booked: the disk is full"], 10)
    assert {name: one.kind for name, one in services.storages.items()} == {"ledger": "ledger"}
    store.fault = ""
    with caplog.at_level("INFO"):
        eventually(lambda: services.faults == [], 10)
        eventually(lambda: told[-1] == ("ledgers", True), 10)
    assert ("ledgers", False) in told
    assert "the ledger of ledgers cannot be written: the disk is full" in caplog.text
    assert "the ledger of ledgers can be written again" in caplog.text
    services.close()
    services.close()
    assert store.closed == 1


def test_a_plugin_may_offer_no_service_or_fail_to_open_it(
    services: PluginServices, tmp_path: Path, keeper: None
) -> None:
    assert services.opened(kept(tmp_path, 7)) == {}
    with pytest.raises(EngineError, match="the model is missing"):
        services.opened(kept(tmp_path, 9))
    with pytest.raises(PluginError, match="the service of plug-in tracker cannot be opened: KeyError: 'a bug'"):
        services.opened(kept(tmp_path, 8))
