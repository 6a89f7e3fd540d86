"""Zones and lines as a service, for the API and `sightd zones`: those of the configuration are read-only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

from sightd.plugins.api import PluginService, RefusedError, Storage
from sightd.plugins.zones.config import MOST_SHAPES, CameraZones, Line, Zone, ZonesConfig
from sightd.plugins.zones.store import ZoneStore, ZoneStoreError

Form = dict[str, Any]
_CONFIGURATION, _API = "configuration", "api"
_GROUNDS = ("scale", "plane")


class ReadOnlyError(RefusedError):
    """The configuration file has a zone or line of this name, or a ground."""

    status: ClassVar[int] = 409


class UnknownZoneError(RefusedError):
    """There is no such camera, zone or line."""

    status: ClassVar[int] = 404


class ZoneService(PluginService):
    """Reads and changes the stored zones. The running plug-in reads the file on its next frame. Any thread."""

    def __init__(self, config: ZonesConfig, store: ZoneStore) -> None:
        self._config, self._store = config, store
        self._fault: str | None = None

    def all(self) -> dict[str, Form]:
        """Returns the zones, lines and grounds of all cameras, and whence each comes."""
        stored = self._store.load()
        cameras = dict.fromkeys((*self._config.cameras, *stored))
        return {camera: self._form(camera, stored.get(camera)) for camera in cameras}

    def of_camera(self, camera: str) -> Form:
        """Returns what applies to a camera, with what the configuration says of every camera."""
        stored = self._store.load().get(camera)
        if stored is None and not self._config.of_camera(camera).names:
            raise UnknownZoneError(f"camera {camera!r} has no zones")
        return self._form(camera, stored)

    def one(self, camera: str, name: str) -> Form:
        form = self.of_camera(camera)
        found: Form | None = form["zones"].get(name) or form["lines"].get(name)
        if found is None:
            raise UnknownZoneError(f"camera {camera!r} has no zone or line {name!r}")
        return found

    def replace_all(self, cameras: Mapping[str, CameraZones]) -> None:
        """Stores these zones instead of all that were stored."""
        for camera, zones in cameras.items():
            self._require_free(camera, zones)
        with self._changing() as stored:
            stored.clear()
            stored.update(cameras)

    def replace_camera(self, camera: str, zones: CameraZones) -> None:
        """Stores these zones instead of those that were stored for the camera."""
        self._require_free(camera, zones)
        with self._changing() as stored:
            stored[camera] = zones

    def put(self, camera: str, name: str, shape: Zone | Line) -> None:
        """Stores a zone or line, instead of one of the same name."""
        with self._changing() as stored:
            before = _without(stored.get(camera, CameraZones()), name)
            kind = "zones" if isinstance(shape, Zone) else "lines"
            zones = before.model_copy(update={kind: {**getattr(before, kind), name: shape}})
            self._require_free(camera, zones)
            stored[camera] = zones

    def remove(self, camera: str, name: str) -> None:
        self._require_not_configured(camera, name)
        with self._changing() as stored:
            zones = stored.get(camera)
            if zones is None or name not in zones.names:
                raise UnknownZoneError(f"camera {camera!r} has no zone or line {name!r}")
            stored[camera] = _without(zones, name)

    def remove_camera(self, camera: str) -> None:
        """Removes all that is stored for a camera."""
        with self._changing() as stored:
            if stored.pop(camera, None) is None:
                raise UnknownZoneError(f"no zones are stored for camera {camera!r}{self._read_only_hint(camera)}")

    def storage(self) -> Storage:
        return Storage(self._store.path, self._fault, "file", "zones", "zones cannot be changed")

    def recover(self) -> str | None:
        """Writes the file again, as it is, if it could not be written or read before."""
        if self._fault is not None:
            try:
                with self._changing():
                    pass
            except ZoneStoreError as error:
                self._fault = str(error)
        return self._fault

    def close(self) -> None:
        """Does nothing: the file is open only while it is read or written."""

    @contextmanager
    def _changing(self) -> Iterator[dict[str, CameraZones]]:
        """Yields the stored zones, and stores them afterwards as they are then. Raises ZoneStoreError."""
        with self._store.writing:
            try:
                cameras = dict(self._store.load())
                yield cameras
                self._store.save(cameras)
            except ZoneStoreError as error:
                self._fault = str(error)
                raise
            self._fault = None

    def _require_free(self, camera: str, zones: CameraZones) -> None:
        """Raises ReadOnlyError if the configuration has zones or a ground of the same name, RefusedError if there would
        be too many."""
        configured = self._config.of_camera(camera)
        for name in sorted(zones.names):
            self._require_not_configured(camera, name)
        if any(getattr(zones, key) for key in _GROUNDS) and any(getattr(configured, key) for key in _GROUNDS):
            raise ReadOnlyError(f"the ground of camera {camera!r} is in the configuration file: change it there")
        for kind in ("zones", "lines"):
            number = len(getattr(zones, kind)) + len(getattr(configured, kind))
            if number > MOST_SHAPES:
                raise RefusedError(f"camera {camera!r} would have {number} {kind}; at most {MOST_SHAPES}")

    def _require_not_configured(self, camera: str, name: str) -> None:
        if name in self._config.of_camera(camera).names:
            raise ReadOnlyError(f"{name!r} of camera {camera!r} is in the configuration file: change it there")

    def _read_only_hint(self, camera: str) -> str:
        return "; those in the configuration file are changed there" if self._config.of_camera(camera).names else ""

    def _form(self, camera: str, stored: CameraZones | None) -> Form:
        form: Form = {"zones": {}, "lines": {}}
        for source, zones in ((_API, stored), (_CONFIGURATION, self._config.of_camera(camera))):
            if zones is not None:
                written = zones.model_dump(mode="json", exclude_defaults=True)
                for kind in ("zones", "lines"):
                    form[kind] |= {name: part | {"source": source} for name, part in written.get(kind, {}).items()}
                form |= {key: written[key] | {"source": source} for key in _GROUNDS if key in written}
        return form


def _without(zones: CameraZones, name: str) -> CameraZones:
    parts = {
        kind: {other: part for other, part in getattr(zones, kind).items() if other != name}
        for kind in ("zones", "lines")
    }
    return zones.model_copy(update=parts)
