"""Answers of the API: values as JSON, and why something cannot be read or changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from pydantic_core import to_json

from sightd.daemon.administration.errors import (
    BusyError,
    NameTakenError,
    NotWritableError,
    OutdatedError,
    UnknownNameError,
    UnsupportedError,
)
from sightd.daemon.common.redaction import redact
from sightd.daemon.config.diff import ConfigDiff
from sightd.daemon.config.editing import EditError
from sightd.daemon.config.problems import ConfigError, LocatedProblem, dotted

_STATUS: Mapping[type[Exception], int] = {
    UnknownNameError: 404,
    NameTakenError: 409,
    UnsupportedError: 409,
    NotWritableError: 409,
    EditError: 409,
    OutdatedError: 412,
    BusyError: 503,
}


class Problem(BaseModel):
    """What is wrong in the configuration. `line` and `column` count from 1, and are 0 if it is not in the file's text;
    `path` names the option, as in cameras.front.chain[0]."""

    file: str
    line: int
    column: int
    path: str
    message: str
    hint: str
    name_only: bool


class Changes(BaseModel):
    """What a change of the configuration changed: names, by kind of change. `restart` lists the sections that take
    effect only after a restart."""

    added: list[str] = Field(description="Cameras.")
    changed: list[str] = Field(description="Cameras.")
    removed: list[str] = Field(description="Cameras.")
    opened: list[str] = Field(description="Plug-ins.")
    replaced: list[str] = Field(description="Plug-ins.")
    adjusted: list[str] = Field(description="Plug-ins that have taken over their options without a restart.")
    closed: list[str] = Field(description="Plug-ins.")
    renewed: list[str] = Field(description="Servers with a renewed certificate.")
    sinks: list[str]
    event_rules: list[str]
    restart: list[str]


class Failure(BaseModel):
    """Why a request was refused: a sentence in `error` or `detail`."""

    error: str | None = None
    detail: str | None = None


class ConfigurationFailure(BaseModel):
    """Why the configuration was refused; nothing was changed. `problems` is missing if not its text is the reason."""

    error: str | None = None
    detail: str | None = None
    problems: list[Problem] = []


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Returns the descriptions of answers for OpenAPI."""
    known: dict[int, tuple[type[BaseModel], str]] = {
        404: (Failure, "There is nothing of this name"),
        409: (ConfigurationFailure, "Refused; nothing was changed"),
        412: (Failure, "The file has changed since it was read"),
        428: (Failure, "The header If-Match is missing"),
        503: (Failure, "Too much is in progress; try again later"),
    }
    return {status: {"model": known[status][0], "description": known[status][1]} for status in statuses}


def answer(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Returns a value as JSON: what consists of dataclasses, mappings, sequences and JSON's own types. For worker
    threads."""
    return Response(to_json(value), status, headers, "application/json")


def problem_for_json(problem: LocatedProblem) -> dict[str, Any]:
    """Returns the form of `Problem`."""
    fields = asdict(problem) | {"path": dotted(problem.path)}
    return {name: redact(value) if isinstance(value, str) else value for name, value in fields.items()}


def changes_for_json(changes: ConfigDiff) -> dict[str, Any]:
    """Returns the form of `Changes`."""
    found: dict[str, Any] = {name: list(names) for name, names in asdict(changes).items()}
    found["restart"] = found.pop("fixed")
    return found


def refused_configuration(error: ConfigError) -> Response:
    """Returns the answer if a configuration cannot be used."""
    problems = [problem_for_json(one) for one in error.problems]
    return JSONResponse({"detail": redact(str(error)), "problems": problems}, status_code=409)


def add_failures(app: FastAPI) -> None:
    """Has the application answer the errors of administration."""

    async def refuse(_request: Request, error: Exception) -> Response:
        status = next(status for kind, status in _STATUS.items() if isinstance(error, kind))
        headers = {"Retry-After": "5"} if status == 503 else None
        return JSONResponse({"error": redact(str(error))}, status, headers)

    async def refuse_configuration(_request: Request, error: Exception) -> Response:
        assert isinstance(error, ConfigError)
        return refused_configuration(error)

    for kind in _STATUS:
        app.add_exception_handler(kind, refuse)
    app.add_exception_handler(ConfigError, refuse_configuration)
