"""Options of plug-ins over HTTP: read by all viewers, changed by the role admin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict

from sightd.daemon.administration.plugins import OptionEntry, PluginEntry, PluginSettings
from sightd.daemon.serve.auth import Access, Role
from sightd.daemon.serve.http.answers import Changes, answer, changes_for_json, failures
from sightd.daemon.serve.http.auth import at_least, principal_of
from sightd.daemon.serve.http.bodies import JsonRoute
from sightd.daemon.serve.http.routes_configuration import IfMatch, revision_of
from sightd.daemon.serve.view import DaemonView, PluginReport

PluginName = Annotated[str, Path(max_length=63)]
Persist = Annotated[bool, Query(description="Write it to the configuration file. Otherwise until the next start.")]


class PluginState(BaseModel):
    """A plug-in instance; `report` is null if it does not run. `redacting`: what a camera redacts depends on it, so
    that its options only change in the file. `options_schema` is their JSON schema."""

    name: str
    kind: str
    cameras: list[str]
    redacting: bool
    options: dict[str, OptionEntry]
    options_schema: dict[str, Any]
    report: PluginReport | None


class PluginOptions(BaseModel):
    """Options as in the configuration file; null removes one, which then has its default."""

    model_config = ConfigDict(extra="allow")


def add_plugin_options(app: FastAPI, plugins: PluginSettings, view: DaemonView, access: Access) -> None:
    """Adds the routes to `app`."""
    prefix, tags = "/api/v1/plugins", ["plugins"]
    reading = APIRouter(prefix=prefix, tags=[*tags], route_class=JsonRoute)
    changing = APIRouter(prefix=prefix, tags=[*tags], route_class=at_least(Role.ADMIN, access))

    @reading.get("", summary="Plug-ins with their options, times and faults", response_model=list[PluginState])
    def listing() -> Response:
        reports = view.status().plugins
        return answer([_state(entry, reports) for entry in plugins.all()])

    @reading.get("/{plugin}", summary="A plug-in", response_model=PluginState, responses=failures(404))
    def one(plugin: PluginName) -> Response:
        return answer(_state(plugins.get(plugin), view.status().plugins))

    @changing.patch("/{plugin}", summary="Change options of a plug-in", response_model=Changes,
                    responses=failures(404, 409, 412, 503))  # fmt: skip
    def change(
        request: Request, plugin: PluginName, options: PluginOptions, persist: Persist = True, if_match: IfMatch = None
    ) -> Response:
        who, given = principal_of(request).name, options.model_extra or {}
        return answer(
            changes_for_json(plugins.change(plugin, given, who, persist=persist, revision=revision_of(if_match)))
        )

    app.include_router(reading)
    app.include_router(changing)


def _state(entry: PluginEntry, reports: Sequence[PluginReport]) -> dict[str, Any]:
    report = next((one for one in reports if one.name == entry.name), None)
    return {**asdict(entry), "report": report}
