"""The configuration file over HTTP: read without its secrets, checked, replaced, and restored. For the role admin."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Header, HTTPException, Path, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from pydantic import BaseModel, Field
from pydantic_core import from_json

from sightd.daemon.administration.configuration import ConfigurationService, schema_text
from sightd.daemon.config.yaml import MAX_BYTES
from sightd.daemon.serve.auth import Access, Role
from sightd.daemon.serve.http.answers import Changes, Problem, answer, changes_for_json, failures, problem_for_json
from sightd.daemon.serve.http.auth import at_least, principal_of
from sightd.daemon.serve.http.bodies import JsonRoute, require_values

_MOST_BODY = 3 * MAX_BYTES
"""Bytes of a body: JSON needs more of them than the text has."""
_MOST_VALUES = 200_000
"""Commas and brackets of the text count, too."""
_ETAG = re.compile(r'(?:W/)?"?([^"]*)"?')

IfMatch = Annotated[
    str | None,
    Header(description='The revision that was read, or "*". If the file has changed meanwhile, the answer is 412.'),
]
VersionId = Annotated[int, Path(ge=1, lt=10**8)]


class ConfigurationText(BaseModel):
    """A configuration file."""

    text: str = Field(max_length=MAX_BYTES, description="YAML. *** stands for a secret that it replaced in the answer.")


class Configuration(BaseModel):
    """The file without its secrets: "***" stands for one, and may be sent back at the same place."""

    path: str
    revision: str = Field(description="Also in the header ETag; send it in If-Match.")
    read_only: str | None = Field(description="Why the file cannot be changed, and what to do; null if it can.")
    text: str | None = Field(description="Null if the file is not YAML.")
    values: Any = Field(description="The values of the text.")
    adjusted: dict[str, Any] = Field(description="Options that have another value until the next start, by path.")


class Check(BaseModel):
    """What is wrong with a text, and what it would change (null if it cannot be used)."""

    problems: list[Problem]
    warnings: list[Problem]
    changes: Changes | None


class Version(BaseModel):
    """A version of the file. `who` is null if it was found in the file; `changes` says what it changed."""

    id: int
    time: float
    who: str | None
    changes: str


class VersionText(BaseModel):
    """A version without its secrets; null if it is not YAML."""

    text: str | None


def add_configuration(app: FastAPI, configuration: ConfigurationService, access: Access) -> None:
    """Adds the routes to `app`."""
    admin = at_least(Role.ADMIN, access)
    router = APIRouter(prefix="/api/v1/configuration", tags=["configuration"], route_class=admin)
    reading = APIRouter(prefix="/api/v1/configuration", tags=["configuration"], route_class=JsonRoute)
    body = {"requestBody": {"required": True, "content": _content()}}

    @router.get("", summary="The configuration file without its secrets", response_model=Configuration,
                responses=failures(409, 503))  # fmt: skip
    def read() -> Response:
        view = configuration.view()
        return answer(view, headers={"ETag": f'"{view.revision}"'})

    @router.put("", summary="Replace the configuration file and apply it", response_model=Changes,
                responses=failures(409, 412, 428, 503), openapi_extra=body, max_body_size=_MOST_BODY)  # fmt: skip
    async def replace(request: Request, if_match: IfMatch = None) -> Response:
        if if_match is None:
            raise HTTPException(428, 'Send the revision that was read in the header If-Match, or "*".')
        text, who = await _text(request), principal_of(request).name
        return await _applied(lambda: configuration.replace(text, who, revision_of(if_match)))

    @router.post("/check", summary="Check a text, and say what it would change", response_model=Check,
                 responses=failures(503), openapi_extra=body, max_body_size=_MOST_BODY)  # fmt: skip
    async def check(request: Request) -> Response:
        text = await _text(request)

        def work() -> Response:
            found = configuration.check(text)
            changes = None if found.changes is None else changes_for_json(found.changes)
            problems, warnings = (list(map(problem_for_json, some)) for some in (found.problems, found.warnings))
            return answer({"problems": problems, "warnings": warnings, "changes": changes})

        return await run_in_threadpool(work)

    @router.get("/history", summary="Versions of the file, the newest first", response_model=list[Version])
    def history() -> Response:
        return answer(configuration.versions())

    @router.get("/history/{version}", summary="A version without its secrets", response_model=VersionText,
                responses=failures(404, 503))  # fmt: skip
    def version(version: VersionId) -> Response:
        return answer({"text": configuration.version(version)})

    @router.post("/history/{version}/restore", summary="Write a version to the file and apply it",
                 response_model=Changes, responses=failures(404, 409, 412, 503))  # fmt: skip
    async def restore(request: Request, version: VersionId, if_match: IfMatch = None) -> Response:
        who = principal_of(request).name
        return await _applied(lambda: configuration.restore(version, who, revision_of(if_match)))

    @reading.get("/schema", summary="JSON schema of the configuration file, with the options of all plug-ins",
                 response_model=dict[str, Any], responses=failures(503))  # fmt: skip
    def schema() -> Response:
        return Response(schema_text(), media_type="application/json")

    app.include_router(router)
    app.include_router(reading)


def revision_of(if_match: str | None) -> str | None:
    """Returns the revision that a header asks for; None if any will do."""
    found = None if if_match is None else _ETAG.fullmatch(if_match.strip())
    revision = if_match if found is None else found[1]
    return None if revision == "*" else revision


async def _applied(change: Callable[[], Any]) -> Response:
    return await run_in_threadpool(lambda: answer(changes_for_json(change())))


async def _text(request: Request) -> str:
    """Returns the text of a body, which is JSON, or YAML as it is. Raises HTTPException."""
    body = await request.body()
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return await run_in_threadpool(_yaml if media_type in _YAML else _text_in_json, body)


_YAML = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")


def _yaml(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise HTTPException(422, "The body is not UTF-8.") from None


def _text_in_json(body: bytes) -> str:
    require_values(body, _MOST_VALUES)
    try:
        found = from_json(body, allow_inf_nan=False, cache_strings="none")
    except ValueError as error:
        raise HTTPException(422, f"The body is not JSON: {str(error)[:100]}.") from None
    text = found.get("text") if isinstance(found, dict) and found.keys() == {"text"} else None
    if not isinstance(text, str):
        raise HTTPException(422, 'The body must be {"text": "…"}, or YAML with the type application/yaml.')
    return text


def _content() -> dict[str, Any]:
    schema = ConfigurationText.model_json_schema()
    return {"application/json": {"schema": schema}, "application/yaml": {"schema": {"type": "string"}}}
