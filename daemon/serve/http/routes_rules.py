"""Rules for events over HTTP: read and tried by all viewers, changed by the role admin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Path, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict

from sightd.daemon.administration.rules import RuleSettings
from sightd.daemon.config.rules import EventRule
from sightd.daemon.config.section import Name
from sightd.daemon.serve.auth import Access, Role
from sightd.daemon.serve.http.answers import Changes, answer, changes_for_json, failures
from sightd.daemon.serve.http.auth import at_least, principal_of
from sightd.daemon.serve.http.bodies import JsonRoute

RuleName = Annotated[str, Path(max_length=63)]


class RuleOptions(BaseModel):
    """Options of a rule as in the configuration file (docs/rules.md)."""

    model_config = ConfigDict(extra="allow")


class Trial(BaseModel):
    """What a rule, without its cool-down, would do with the newest stored events. `named`: of how many it names the
    kind; `held_back`: by condition, how many of those it does not select; `events`: the newest that it selects."""

    tried: int
    named: int
    selected: int
    held_back: Mapping[str, int]
    events: Sequence[dict[str, Any]]


def add_rules(app: FastAPI, rules: RuleSettings, access: Access) -> None:
    """Adds the routes to `app`."""
    prefix, tags = "/api/v1/rules", ["rules"]
    reading = APIRouter(prefix=prefix, tags=[*tags], route_class=JsonRoute)
    changing = APIRouter(prefix=prefix, tags=[*tags], route_class=at_least(Role.ADMIN, access))

    @reading.get(
        "", summary="Rules for events: the options of each that are set", response_model=dict[str, dict[str, Any]]
    )
    def listing() -> Response:
        return answer(rules.all())

    @reading.get("/{rule}", summary="A rule", response_model=dict[str, Any], responses=failures(404))
    def one(rule: RuleName) -> Response:
        return answer(rules.get(rule))

    @changing.post("/trial", summary="Try a rule with stored events", response_model=Trial, responses=failures(503))
    def trial(options: EventRule) -> Response:
        found = rules.trial(options)
        events = [event.for_json() for event in found.events]
        return answer({
            "tried": found.tried, "named": found.named, "selected": found.selected, "held_back": found.held_back,
            "events": events,
        })  # fmt: skip

    @changing.put("/{rule}", summary="Add a rule, or replace it", response_model=Changes, responses=failures(409, 503))
    def put(request: Request, rule: Annotated[Name, Path()], options: RuleOptions) -> Response:
        return answer(changes_for_json(rules.put(rule, options.model_extra or {}, principal_of(request).name)))

    @changing.delete("/{rule}", summary="Remove a rule", response_model=Changes, responses=failures(404, 409, 503))
    def remove(request: Request, rule: RuleName) -> Response:
        return answer(changes_for_json(rules.remove(rule, principal_of(request).name)))

    app.include_router(reading)
    app.include_router(changing)
