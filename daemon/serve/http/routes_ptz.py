"""Moves cameras over HTTP: their position for all viewers, moves for the role operate, presets for the role admin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Path, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from sightd.daemon.onvif.errors import OnvifError
from sightd.daemon.onvif.ptz import Vector
from sightd.daemon.ptz.control import MOST_SECONDS, PtzControl, PtzState
from sightd.daemon.ptz.manager import PtzManager
from sightd.daemon.serve.auth import Access, Role
from sightd.daemon.serve.http.answers import Failure
from sightd.daemon.serve.http.auth import at_least
from sightd.daemon.serve.http.bodies import JsonRoute

CameraName = Annotated[str, Path(max_length=63)]
Token = Annotated[str, Field(min_length=1, max_length=64)]
PresetToken = Annotated[str, Path(min_length=1, max_length=64)]
Speed = Annotated[float, Field(ge=-1, le=1)]
Axis = Annotated[float | None, Field(ge=-1, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Move(_Strict):
    """Speeds to the right, up and in, from -1 to 1; the camera stops after `seconds`. All zero stops it at once."""

    pan: Speed = 0.0
    tilt: Speed = 0.0
    zoom: Speed = 0.0
    seconds: float = Field(1.0, gt=0, le=MOST_SECONDS)


class Goal(_Strict):
    """A distance, or a position: pan and tilt from -1 to 1, zoom from 0 to 1 as a position. Null leaves an axis."""

    pan: Axis = None
    tilt: Axis = None
    zoom: Axis = None


class ChosenPreset(_Strict):
    preset: Token = Field(description="Token of the preset.")


class NewPreset(_Strict):
    name: str = Field(min_length=1, max_length=64)


class PresetReport(BaseModel):
    token: str
    name: str


class Position(BaseModel):
    """In ONVIF's generic space: pan and tilt from -1 to 1, zoom from 0 to 1."""

    pan: float | None
    tilt: float | None
    zoom: float | None


class Supported(BaseModel):
    """Kinds of moves of pan and tilt, and of zoom: continuous, relative, absolute; `presets` is their maximum."""

    pan_tilt: list[str]
    zoom: list[str]
    home: bool
    presets: int


class Following(BaseModel):
    """Whether the camera follows objects: the id of the one it follows now, and for how many s it pauses because
    somebody moved the camera."""

    enabled: bool
    track: int | None
    paused: float


class PtzReport(BaseModel):
    """A camera that can be moved. `moving` is null if it does not say."""

    supported: Supported
    presets: list[PresetReport]
    position: Position | None
    moving: bool | None
    following: Following


class NoPtzError(Exception):
    """A camera cannot be moved."""


_FAILURES: dict[int | str, dict[str, Any]] = {
    404: {"model": Failure, "description": "There is no such camera, or it cannot be moved"},
    409: {"model": Failure, "description": "The camera refused the request, or did not answer"},
}


def add_ptz(app: FastAPI, cameras: PtzManager, access: Access) -> None:
    """Adds the routes to `app`."""
    prefix, tags = "/api/v1/cameras/{camera}/ptz", ["ptz"]
    reading = APIRouter(prefix=prefix, tags=[*tags], route_class=JsonRoute, responses=_FAILURES)
    app.add_exception_handler(NoPtzError, _cannot_move)
    app.add_exception_handler(OnvifError, _refused)

    def control(camera: str) -> PtzControl:
        found = cameras.get(camera)
        if found is None:
            raise NoPtzError(camera)
        return found

    @reading.get("", summary="Where a camera looks, and what it can do", response_model=PtzReport)
    def state(camera: CameraName) -> Response:
        return JSONResponse(_for_json(control(camera).state()))

    app.include_router(reading)
    app.include_router(_moving(prefix, tags, access, control))
    app.include_router(_changing(prefix, tags, access, control))


def _moving(prefix: str, tags: list[str], access: Access, control: Callable[[str], PtzControl]) -> APIRouter:
    router = APIRouter(prefix=prefix, tags=[*tags], route_class=at_least(Role.OPERATE, access), responses=_FAILURES)

    @router.post("/move", summary="Move with a speed, for some seconds", status_code=204)
    def move(camera: CameraName, wanted: Move) -> Response:
        turns = bool(wanted.pan or wanted.tilt)
        speed = Vector(wanted.pan if turns else None, wanted.tilt if turns else None, wanted.zoom or None)
        control(camera).move(speed, wanted.seconds)
        return Response(status_code=204)

    @router.post("/step", summary="Move by a distance", status_code=204)
    def step(camera: CameraName, wanted: Goal) -> Response:
        control(camera).step(Vector(wanted.pan, wanted.tilt, wanted.zoom))
        return Response(status_code=204)

    @router.post("/position", summary="Move to a position", status_code=204)
    def position(camera: CameraName, wanted: Goal) -> Response:
        control(camera).go_to(Vector(wanted.pan, wanted.tilt, wanted.zoom))
        return Response(status_code=204)

    @router.post("/stop", summary="Stop", status_code=204)
    def stop(camera: CameraName) -> Response:
        control(camera).stop()
        return Response(status_code=204)

    @router.post("/preset", summary="Move to a preset", status_code=204)
    def preset(camera: CameraName, wanted: ChosenPreset) -> Response:
        control(camera).go_to_preset(wanted.preset)
        return Response(status_code=204)

    @router.post("/home", summary="Move to the home position", status_code=204)
    def home(camera: CameraName) -> Response:
        control(camera).go_home()
        return Response(status_code=204)

    return router


def _changing(prefix: str, tags: list[str], access: Access, control: Callable[[str], PtzControl]) -> APIRouter:
    router = APIRouter(prefix=prefix, tags=[*tags], route_class=at_least(Role.ADMIN, access), responses=_FAILURES)

    @router.put("/home", summary="Make the current position the home position", status_code=204)
    def set_home(camera: CameraName) -> Response:
        control(camera).set_home()
        return Response(status_code=204)

    @router.post("/presets", summary="Store the current position as a preset", status_code=201,
                 response_model=PresetReport)  # fmt: skip
    def add(camera: CameraName, wanted: NewPreset) -> Response:
        preset = control(camera).set_preset(wanted.name)
        return JSONResponse({"token": preset.token, "name": preset.name}, status_code=201)

    @router.put("/presets/{preset}", summary="Give a preset the current position and a name", status_code=204)
    def replace(camera: CameraName, preset: PresetToken, wanted: NewPreset) -> Response:
        control(camera).set_preset(wanted.name, preset)
        return Response(status_code=204)

    @router.delete("/presets/{preset}", summary="Remove a preset", status_code=204)
    def remove(camera: CameraName, preset: PresetToken) -> Response:
        control(camera).remove_preset(preset)
        return Response(status_code=204)

    return router


def _for_json(state: PtzState) -> dict[str, Any]:
    position = state.position
    return PtzReport(
        supported=Supported(
            pan_tilt=sorted(state.moves.pan_tilt),
            zoom=sorted(state.moves.zoom),
            home=state.moves.home,
            presets=state.moves.presets,
        ),
        presets=[PresetReport(token=one.token, name=one.name) for one in state.presets],
        position=None if position is None else Position(pan=position.pan, tilt=position.tilt, zoom=position.zoom),
        moving=state.moving,
        following=Following(enabled=state.following, track=state.track, paused=round(state.paused, 1)),
    ).model_dump()


async def _cannot_move(_request: Request, error: Exception) -> Response:
    told = {"error": f"Camera {error.args[0]!r} cannot be moved: there is none of that name, or it has no `onvif`."}
    return JSONResponse(told, status_code=404)


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, OnvifError)
    return JSONResponse({"error": f"{error}.", "reason": str(error.reason)}, status_code=409)
