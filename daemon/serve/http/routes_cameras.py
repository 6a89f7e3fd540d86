"""Cameras over HTTP: as they are configured and how they are, for all viewers; pausing them for the role operate;
changing them, which is written to the configuration file, for the role admin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from sightd.daemon.administration.cameras import CameraSettings, ConfiguredCamera
from sightd.daemon.config.section import Name
from sightd.daemon.serve.auth import Access, Role
from sightd.daemon.serve.http.answers import Changes, answer, changes_for_json, failures
from sightd.daemon.serve.http.auth import at_least, principal_of
from sightd.daemon.serve.http.bodies import JsonRoute
from sightd.daemon.serve.http.routes_configuration import IfMatch, revision_of
from sightd.daemon.serve.view import CameraStatus, DaemonView

_MOST_CAMERAS = 1000

CameraName = Annotated[str, Path(max_length=63)]
Before = Annotated[str | None, Query(max_length=63, description="Insert it before this camera; by default at the end.")]


class CameraState(BaseModel):
    """A camera of the running configuration. `source` has no user and password; `options` are those that are
    not the defaults.
    `paused` is null if the analysis cannot be paused, `state` if the camera is disabled."""

    name: str
    title: str
    enabled: bool
    source: str
    kind: str = Field(description="rtsp, http, file, device or pattern")
    chain: list[str]
    options: dict[str, Any]
    paused: bool | None
    state: CameraStatus | None


class CameraDetails(CameraState):
    """With its options as the file has them: "***" stands for a secret, and references are not replaced."""

    written: dict[str, Any]


class CameraOptions(BaseModel):
    """Options of a camera as in the configuration file (docs/configuration.md); null removes one."""

    model_config = ConfigDict(extra="allow")


class NewCamera(CameraOptions):
    """A camera with its options as in the configuration file, such as title, chain and timeout."""

    name: Name
    source: str = Field(min_length=1, max_length=4096, examples=["rtsp://user:${env:CAMERA_PASSWORD}@10.0.0.7/stream1"])


class Order(BaseModel):
    """All cameras, in their new order."""

    model_config = ConfigDict(extra="forbid")

    names: list[Name] = Field(max_length=_MOST_CAMERAS)


def add_cameras(app: FastAPI, cameras: CameraSettings, view: DaemonView, access: Access) -> None:
    """Adds the routes to `app`."""
    prefix, tags = "/api/v1/cameras", ["cameras"]
    reading = APIRouter(prefix=prefix, tags=[*tags], route_class=JsonRoute)
    operating = APIRouter(prefix=prefix, tags=[*tags], route_class=at_least(Role.OPERATE, access))
    changing = APIRouter(prefix=prefix, tags=[*tags], route_class=at_least(Role.ADMIN, access))

    def with_state(camera: ConfiguredCamera) -> dict[str, Any]:
        return {**asdict(camera), "state": view.readiness().cameras.get(camera.name)}

    @reading.get("", summary="All cameras, in the order of the configuration", response_model=list[CameraState])
    def listing() -> Response:
        states = view.readiness().cameras
        return answer([{**asdict(camera), "state": states.get(camera.name)} for camera in cameras.all()])

    @changing.post(
        "", summary="Add a camera", status_code=201, response_model=Changes, responses=failures(404, 409, 503)
    )
    def add(request: Request, camera: NewCamera, before: Before = None) -> Response:
        options = {"source": camera.source, **(camera.model_extra or {})}
        changes = cameras.add(camera.name, options, principal_of(request).name, before=before)
        return answer(changes_for_json(changes), 201, {"Location": f"{prefix}/{camera.name}"})

    @changing.put("/order", summary="Bring the cameras into another order", response_model=Changes,
                  responses=failures(409, 503))  # fmt: skip
    def reorder(request: Request, order: Order) -> Response:
        return answer(changes_for_json(cameras.reorder(order.names, principal_of(request).name)))

    @reading.get("/{camera}", summary="A camera", response_model=CameraState, responses=failures(404))
    def one(camera: CameraName) -> Response:
        return answer(with_state(cameras.get(camera)))

    @changing.get("/{camera}/options", summary="A camera with its options as the file has them, without secrets",
                  response_model=CameraDetails, responses=failures(404, 409, 503))  # fmt: skip
    def written(camera: CameraName) -> Response:
        return answer({**with_state(cameras.get(camera)), "written": cameras.written(camera)})

    @changing.patch("/{camera}", summary="Change options of a camera", response_model=Changes,
                    responses=failures(404, 409, 412, 503))  # fmt: skip
    def change(request: Request, camera: CameraName, options: CameraOptions, if_match: IfMatch = None) -> Response:
        given = options.model_extra or {}
        changes = cameras.change(camera, given, principal_of(request).name, revision_of(if_match))
        return answer(changes_for_json(changes))

    @changing.delete("/{camera}", summary="Remove a camera", response_model=Changes, responses=failures(404, 409, 503))
    def remove(request: Request, camera: CameraName) -> Response:
        return answer(changes_for_json(cameras.remove(camera, principal_of(request).name)))

    _add_pausing(operating, cameras, with_state)
    for router in (reading, operating, changing):
        app.include_router(router)


def _add_pausing(
    router: APIRouter, cameras: CameraSettings, with_state: Callable[[ConfiguredCamera], dict[str, Any]]
) -> None:
    @router.post("/{camera}/pause", summary="Pause the analysis until the next start; video goes on",
                    response_model=CameraState, responses=failures(404, 409))  # fmt: skip
    def pause(camera: CameraName) -> Response:
        cameras.pause(camera, True)
        return answer(with_state(cameras.get(camera)))

    @router.post("/{camera}/resume", summary="Resume the analysis", response_model=CameraState,
                    responses=failures(404, 409))  # fmt: skip
    def resume(camera: CameraName) -> Response:
        cameras.pause(camera, False)
        return answer(with_state(cameras.get(camera)))
