"""HTTP API that controls the daemon: at present, reloading the configuration."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse, Response

from sightd.daemon.config.diff import ConfigDiff
from sightd.daemon.config.problems import ConfigError, ConfigProblem
from sightd.daemon.redact import redact
from sightd.daemon.serve.access.access import Access
from sightd.daemon.serve.access.auth_middleware import at_least
from sightd.daemon.serve.access.roles import Role

_PATIENCE = 600.0
"""Seconds that a reload may take: a plug-in may have to download its model first."""

AskReload = Callable[[], "Future[ConfigDiff]"]


def add_control(app: FastAPI, ask_reload: AskReload, access: Access) -> None:
    """Adds the routes to `app`."""
    router = APIRouter(prefix="/api", tags=["control"], route_class=at_least(Role.ADMIN, access))

    @router.post("/reload", summary="Reload the configuration; returns 409 and the faults if it is rejected")
    async def reload() -> Response:
        try:
            changes = await asyncio.wait_for(asyncio.wrap_future(ask_reload()), _PATIENCE)
        except TimeoutError:
            told = "The reload is still in progress; see the log for its result."
            return JSONResponse({"detail": told}, status_code=503)
        except ConfigError as error:
            problems = [_problem(one) for one in error.problems]
            return JSONResponse({"detail": redact(str(error)), "problems": problems}, status_code=409)
        except Exception as error:  # noqa: BLE001 — anything that kept the configuration from being applied
            return JSONResponse({"detail": redact(str(error))}, status_code=409)
        return JSONResponse(_told(changes))

    app.include_router(router)


def _problem(problem: ConfigProblem) -> dict[str, Any]:
    return {name: redact(value) if isinstance(value, str) else value for name, value in asdict(problem).items()}


def _told(changes: ConfigDiff) -> dict[str, Any]:
    """Names by kind of change; `restart` lists sections that need a restart."""
    found = {name: list(names) for name, names in asdict(changes).items()}
    found["restart"] = found.pop("fixed")
    return found
