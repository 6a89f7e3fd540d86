"""The zones that came through the API: a file in the state directory, replaced whole."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from sightd.engines.files import NoHomeError, expanded, make_private, read_regular, state_directory
from sightd.plugins.api import PluginError, RefusedError
from sightd.plugins.zones.config import CameraZones, ZonesConfig

FILE = "zones.json"
CameraName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
_MOST_BYTES = 4 << 20
_MOST_CAMERAS = 500
_WRITING = threading.Lock()
Part = TypeVar("Part")


class ZoneStoreError(RefusedError):
    """The file cannot be read or written."""

    status: ClassVar[int] = 507


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    cameras: dict[CameraName, CameraZones] = Field({}, max_length=_MOST_CAMERAS)


class ZoneStore:
    """The stored zones by camera. Any thread; `writing` excludes other changes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.writing = _WRITING
        self._loaded: tuple[object, Mapping[str, CameraZones]] = (None, {})

    def load(self) -> Mapping[str, CameraZones]:
        """Returns the zones by camera; reads the file if it has changed. Raises ZoneStoreError."""
        try:
            found = self.path.stat()
            version = (found.st_ino, found.st_mtime_ns, found.st_size)
            if self._loaded[0] != version:
                self._loaded = version, _File.model_validate_json(read_regular(self.path, _MOST_BYTES)).cameras
        except FileNotFoundError:
            self._loaded = None, {}
        except OSError as error:
            raise ZoneStoreError(f"zones {self.path} cannot be read: {error.strerror or error}") from error
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            at = ".".join(map(str, first["loc"])) or "the file"
            raise ZoneStoreError(
                f"zones {self.path}: {at}: {first['msg']}: correct the file, or remove it to start without them"
            ) from error
        return self._loaded[1]

    def save(self, cameras: Mapping[str, CameraZones]) -> None:
        """Replaces the file. Raises ZoneStoreError; the old file is then unchanged."""
        if len(cameras) > _MOST_CAMERAS:
            raise RefusedError(f"zones of {len(cameras)} cameras; at most {_MOST_CAMERAS}")
        kept = {name: zones for name, zones in cameras.items() if zones != CameraZones()}
        data = _File(cameras=kept).model_dump_json(exclude_defaults=True, indent=1).encode()
        try:
            make_private(self.path.parent)
            _replace(self.path, data)
        except OSError as error:
            raise ZoneStoreError(
                f"zones {self.path} cannot be written: {error.strerror or error}; nothing was changed"
            ) from error


def _replace(path: Path, data: bytes) -> None:
    """Replaces a file by one that is complete on the disk, also if the process is killed meanwhile. Raises OSError."""
    descriptor, name = tempfile.mkstemp(".new", f".{path.name}.", path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


def store_of(config: ZonesConfig, environ: Mapping[str, str]) -> ZoneStore:
    """Returns the store of a plug-in with these options. Raises PluginError if there is no state directory."""
    if config.store is not None:
        return ZoneStore(expanded(config.store))
    try:
        return ZoneStore(state_directory(environ) / FILE)
    except NoHomeError as error:
        raise PluginError(str(error)) from error


def merged(configured: CameraZones, stored: CameraZones | None) -> CameraZones:
    """Returns the zones of both, as they apply: of the same name, those of the configuration."""
    if stored is None:
        return configured
    grounded = configured.scale is not None or configured.plane is not None
    ground = configured if grounded else stored
    return configured.model_copy(
        update={
            "zones": {**_others(stored.zones, configured), **configured.zones},
            "lines": {**_others(stored.lines, configured), **configured.lines},
            "scale": ground.scale,
            "plane": ground.plane,
        }
    )


def _others(parts: Mapping[str, Part], configured: CameraZones) -> dict[str, Part]:
    return {name: part for name, part in parts.items() if name not in configured.names}
