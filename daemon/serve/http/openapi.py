"""The description of the API (OpenAPI 3.1), and a page that shows it: files of this package, without scripts from
elsewhere."""

from __future__ import annotations

from importlib import resources
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import Response

URL = "/api/v1/openapi.json"
DOCS = "/api/v1/docs"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'"
)
_FILES = {"": ("index.html", "text/html"), "/docs.js": ("docs.js", "text/javascript"),
          "/docs.css": ("docs.css", "text/css")}  # fmt: skip
_DESCRIPTION = """\
Every request needs a token with the role that `x-role` names, or the control socket; docs/api.md says how. Requests
that change something need the header `X-Sightd: 1` if a browser sends the credentials. Errors are JSON with a sentence
in `error` or `detail`.
"""
_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A token of access.tokens."},
    "basic": {"type": "http", "scheme": "basic", "description": "Name and token of access.tokens."},
}
_REFUSALS = {
    "401": "A token is missing, or wrong",
    "403": "The role does not permit it, or a page of another origin asks",
    "429": "Too many wrong tokens from this address",
}
_FAILURE = {"application/json": {"schema": {"$ref": "#/components/schemas/AnyFailure"}}}
_ANY_FAILURE = {
    "title": "AnyFailure",
    "type": "object",
    "description": "Why a request was refused: a sentence in error or detail; detail may be a list of problems.",
    "properties": {"error": {"type": "string"}, "detail": {"anyOf": [{"type": "string"}, {"type": "array"}]}},
}
_METHODS = ("get", "put", "post", "delete", "patch")


def _describe(app: FastAPI) -> None:
    """Makes the application describe itself completely: roles, authentication, and errors of all operations. Plug-ins
    may add routes later, and set `app.openapi_schema` to None then."""

    def schema() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = get_openapi(title=app.title, version=app.version, routes=app.routes, description=_DESCRIPTION)
            app.openapi_schema = _completed(found)
        return app.openapi_schema

    app.openapi = schema  # type: ignore[method-assign]


def _completed(schema: dict[str, Any]) -> dict[str, Any]:
    components = schema.setdefault("components", {})
    components["securitySchemes"] = _SCHEMES
    components.setdefault("schemas", {})["AnyFailure"] = _ANY_FAILURE
    schema["security"] = [{name: []} for name in _SCHEMES]
    for operations in schema["paths"].values():
        for method, operation in operations.items():
            if method in _METHODS:
                _complete(operation)
    return schema


def _complete(operation: dict[str, Any]) -> None:
    answers = operation["responses"]
    if operation.setdefault("x-role", "view") == "none":
        operation["security"] = []
    else:
        for status, description in _REFUSALS.items():
            answers.setdefault(status, {"description": description, "content": _FAILURE})
    answers.setdefault("default", {"description": "Refused; the body says why", "content": _FAILURE})


def add_docs(app: FastAPI) -> None:
    """Adds the description and the page."""
    _describe(app)
    folder = resources.files("sightd.daemon.serve.http").joinpath("apidocs")
    for path, (name, media_type) in _FILES.items():
        content = folder.joinpath(name).read_bytes()

        def file(content: bytes = content, media_type: str = media_type) -> Response:
            return Response(content, media_type=media_type, headers={"Content-Security-Policy": _POLICY})

        app.add_api_route(DOCS + path, _without_parameters(file), include_in_schema=False, response_class=Response)


def _without_parameters(file: Any) -> Any:
    """Returns a function without parameters, which FastAPI would read from the query."""
    return lambda: file()
