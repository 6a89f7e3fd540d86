"""Routes of the daemon as a whole: health, metrics, status and reloading the configuration."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import Annotated

from fastapi import APIRouter, FastAPI, Header
from fastapi.responses import JSONResponse, Response
from pydantic import TypeAdapter

from sightd.daemon.common.redaction import redact
from sightd.daemon.config.diff import ConfigDiff
from sightd.daemon.config.problems import ConfigError
from sightd.daemon.serve.auth import Access, Role
from sightd.daemon.serve.http.answers import Changes, ConfigurationFailure, changes_for_json, refused_configuration
from sightd.daemon.serve.http.auth import OpenRoute, at_least
from sightd.daemon.serve.view import DaemonView, Readiness, Status

_READINESS = TypeAdapter(Readiness)

Exposition = Callable[[str], tuple[bytes, str]]
"""Maps an Accept header to the metrics' bytes and content type: `Metrics.exposition`."""


def add_health(app: FastAPI, view: DaemonView, *, quiet: bool) -> None:
    """`quiet`: /healthz, which needs no token, names no camera."""
    router = APIRouter(route_class=OpenRoute)

    @router.get("/healthz", summary="Liveness check; requires no token")
    async def healthz() -> Response:
        healthy, detail = view.healthy()
        content = {"healthy": healthy} if quiet else {"healthy": healthy, "detail": detail}
        return JSONResponse(content, status_code=200 if healthy else 503)

    app.include_router(router)

    @app.get("/readyz", response_model=Readiness, summary="Readiness check: the status of all cameras and plug-ins")
    async def readyz() -> Response:
        readiness = view.readiness()
        content = _READINESS.dump_python(readiness, mode="json")
        return JSONResponse(content, status_code=200 if readiness.ready else 503)


def add_metrics(app: FastAPI, exposition: Exposition) -> None:
    @app.get("/metrics", response_class=Response, summary="Metrics for Prometheus")
    def metrics(accept: Annotated[str, Header(include_in_schema=False)] = "") -> Response:
        content, content_type = exposition(accept)
        return Response(content, headers={"Content-Type": content_type})


def add_status(app: FastAPI, status: Callable[[], Status]) -> None:
    """Adds the route, for every role. `status` may block on a disk."""
    router = APIRouter(prefix="/api/v1", tags=["status"])

    @router.get("/status", summary="Cameras, plug-ins, models, viewers, storage and versions")
    def report() -> Status:
        return status()

    app.include_router(router)


_PATIENCE = 600.0
"""Seconds that a reload may take: a plug-in may have to download its model first."""

AskReload = Callable[[], "Future[ConfigDiff]"]


def add_control(app: FastAPI, ask_reload: AskReload, access: Access) -> None:
    """Adds the routes to `app`."""
    router = APIRouter(prefix="/api/v1", tags=["control"], route_class=at_least(Role.ADMIN, access))

    @router.post(
        "/reload",
        summary="Reload the configuration; returns 409 and the faults if it is rejected",
        response_model=Changes,
        responses={409: {"model": ConfigurationFailure}},
    )
    async def reload() -> Response:
        try:
            changes = await asyncio.wait_for(asyncio.wrap_future(ask_reload()), _PATIENCE)
        except TimeoutError:
            told = "The reload is still in progress; see the log for its result."
            return JSONResponse({"detail": told}, status_code=503)
        except ConfigError as error:
            return refused_configuration(error)
        except Exception as error:  # noqa: BLE001 — anything that kept the configuration from being applied
            return JSONResponse({"detail": redact(str(error))}, status_code=409)
        return JSONResponse(changes_for_json(changes))

    app.include_router(router)
