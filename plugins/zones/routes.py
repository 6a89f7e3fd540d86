"""Zones and lines in the daemon's API: everybody may read them, administrators change them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, RootModel, Tag

from sightd.plugins.api import Route
from sightd.plugins.zones.config import CameraZones, Line, ShapeName, Zone
from sightd.plugins.zones.service import Form, ZoneService
from sightd.plugins.zones.store import CameraName


def _kind(given: Any) -> str:
    return "line" if isinstance(given, Line) or (isinstance(given, dict) and "points" in given) else "zone"


class ShapeBody(
    RootModel[Annotated[Annotated[Zone, Tag("zone")] | Annotated[Line, Tag("line")], Discriminator(_kind)]]
):
    """A zone, which has corners, or a line, which has points."""


class CamerasBody(RootModel[dict[CameraName, CameraZones]]):
    """Zones and lines by camera."""


def read_all(service: ZoneService) -> dict[str, Form]:
    return service.all()


def read_camera(service: ZoneService, camera: str) -> Form:
    return service.of_camera(camera)


def read_one(service: ZoneService, camera: str, name: str) -> Form:
    return service.one(camera, name)


def write_all(service: ZoneService, body: CamerasBody) -> dict[str, Form]:
    service.replace_all(body.root)
    return service.all()


def write_camera(service: ZoneService, camera: CameraName, body: CameraZones) -> Form:
    service.replace_camera(camera, body)
    return service.of_camera(camera) if body != CameraZones() else {"zones": {}, "lines": {}}


def write_one(service: ZoneService, camera: CameraName, name: ShapeName, body: ShapeBody) -> Form:
    service.put(camera, name, body.root)
    return service.one(camera, name)


def delete_all(service: ZoneService) -> None:
    service.replace_all({})


def delete_camera(service: ZoneService, camera: str) -> None:
    service.remove_camera(camera)


def delete_one(service: ZoneService, camera: str, name: str) -> None:
    service.remove(camera, name)


ROUTES = (
    Route("GET", "/zones", "view", "Zones and lines of all cameras; `source` says where each comes from", read_all),
    Route("GET", "/zones/{camera}", "view", "Zones and lines of a camera", read_camera),
    Route("GET", "/zones/{camera}/{name}", "view", "A zone or line", read_one),
    Route("PUT", "/zones", "admin", "Replace all stored zones and lines", write_all),
    Route("PUT", "/zones/{camera}", "admin", "Replace the stored zones and lines of a camera", write_camera),
    Route("PUT", "/zones/{camera}/{name}", "admin", "Store a zone (`corners`) or line (`points`)", write_one),
    Route("DELETE", "/zones", "admin", "Remove all stored zones and lines", delete_all, status=204),
    Route("DELETE", "/zones/{camera}", "admin", "Remove the stored zones and lines of a camera", delete_camera,
          status=204),
    Route("DELETE", "/zones/{camera}/{name}", "admin", "Remove a stored zone or line", delete_one, status=204),
)  # fmt: skip
