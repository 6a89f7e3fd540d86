"""Routes that plug-ins declare are served as sightd's own: checked, bounded, and never in the way of others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import httpx
import pytest
from prometheus_client import CollectorRegistry
from pydantic import BaseModel, Field

from sightd.daemon.config.model import Http
from sightd.daemon.metrics.registry import Metrics
from sightd.daemon.serve.http.app import create_app
from sightd.daemon.serve.http.routes_plugins import PluginRoutes
from sightd.daemon.serve.http.server import HttpServer
from sightd.engines.errors import EngineError
from sightd.plugins.api import Answer, InvalidRequestError, PluginService, RefusedError, Route
from tests.daemon.serve.http.test_app import View
from tests.support.access import NO_TOKENS

pytestmark = pytest.mark.waiting

Ask = Callable[..., httpx.Response]


class Thing(PluginService):
    def __init__(self, name: str | None) -> None:
        self.name = name or "only"


class Paging(BaseModel):
    page: int = Field(1, ge=1)
    tag: Sequence[str] = ()


class Text(BaseModel):
    text: str


class Reserved(BaseModel):
    plugin: str = ""


def show(thing: Thing, number: int, query: Paging) -> dict[str, object]:
    return {"thing": thing.name, "number": number, "page": query.page, "tags": list(query.tag)}


def write(thing: Thing, body: Text) -> dict[str, str]:
    return {"text": body.text}


def upload(thing: Thing, body: bytes) -> dict[str, int]:
    return {"size": len(body)}


def picture(thing: Thing) -> Answer:
    return Answer(b"\x89PNG", "image/png")


def teapot(thing: Thing) -> Answer:
    return Answer({"short": "and stout"}, status=418)


def delete(thing: Thing, number: int) -> None:
    if number == 1:
        raise RefusedError("1 must stay")
    if number == 2:
        raise InvalidRequestError("2 is no number for this")
    if number == 3:
        raise EngineError("the model is not available")


def without_annotation(thing: Thing, number) -> None:  # type: ignore[no-untyped-def]
    raise AssertionError("is not added")


def reserved(thing: Thing, query: Reserved) -> None:
    raise AssertionError("is not added")


ROUTES = (
    Route("GET", "/things/{number}", "view", "Show", show),
    Route("POST", "/things", "operate", "Write", write, status=201),
    Route("POST", "/things/upload", "operate", "Upload", upload, max_body=2 << 20, max_values=3),
    Route("GET", "/thing.png", "view", "FrameOverride", picture),
    Route("GET", "/teapot", "view", "Another status", teapot),
    Route("DELETE", "/things/{number}", "admin", "Delete", delete, status=204),
)


def runs_nothing(kind: str, plugin: str | None) -> PluginService:
    raise RefusedError(f"no {kind} plug-in runs")


@pytest.fixture
def routes_of() -> Iterator[Callable[..., tuple[PluginRoutes, Ask]]]:
    metrics = Metrics(CollectorRegistry(), "1.2.3")
    app = create_app(View(), metrics.exposition, 1, NO_TOKENS)
    server = HttpServer(Http(port=0), app)
    server.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", headers={"X-Sightd": "1"}, timeout=20) as client:
        yield lambda service=lambda _kind, plugin: Thing(plugin): (
            PluginRoutes(app, service, NO_TOKENS),
            client.request,
        )
    server.close()


@pytest.fixture
def ask(routes_of: Callable[..., tuple[PluginRoutes, Ask]]) -> Ask:
    routes, request = routes_of()
    routes.add("thing", ROUTES)
    return request


def test_a_handler_gets_the_path_the_query_and_the_plugin_that_was_chosen(ask: Ask) -> None:
    assert ask("GET", "/api/v1/things/7").json() == {"thing": "only", "number": 7, "page": 1, "tags": []}
    found = ask("GET", "/api/v1/things/7?page=2&tag=a&tag=b&plugin=other").json()
    assert found == {"thing": "other", "number": 7, "page": 2, "tags": ["a", "b"]}


@pytest.mark.parametrize(
    ("path", "loc"),
    [
        ("/api/v1/things/seven", ["path", "number"]),
        ("/api/v1/things/7?page=0", ["query", "page"]),
        (f"/api/v1/things/7?plugin={'x' * 64}", ["query", "plugin"]),
    ],
)
def test_what_does_not_fit_is_refused_and_says_where(ask: Ask, path: str, loc: list[str]) -> None:
    refused = ask("GET", path)
    assert (refused.status_code, refused.json()["detail"][0]["loc"]) == (422, loc)


def test_bodies_are_models_or_bytes_with_a_limit(ask: Ask) -> None:
    assert ask("POST", "/api/v1/things", json={"text": "a"}).status_code == 201
    assert ask("POST", "/api/v1/things", json={"text": 1}).json()["detail"][0]["loc"] == ["body", "text"]
    assert ask("POST", "/api/v1/things", content=b" " * (1 << 20) + b" ").status_code == 413
    assert ask("POST", "/api/v1/things/upload", content=b" " * (1 << 21)).json() == {"size": 1 << 21}
    assert ask("POST", "/api/v1/things/upload", content=b" " * (1 << 21) + b" ").status_code == 413
    assert ask("POST", "/api/v1/things/upload", content=b"[1,2,3,4,5]").json()["detail"] == (
        "The body has more than 3 values."
    )


def test_an_answer_has_its_own_type_or_status(ask: Ask) -> None:
    image = ask("GET", "/api/v1/thing.png")
    assert (image.content, image.headers["content-type"]) == (b"\x89PNG", "image/png")
    other = ask("GET", "/api/v1/teapot")
    assert (other.status_code, other.json()) == (418, {"short": "and stout"})
    nothing = ask("DELETE", "/api/v1/things/4")
    assert (nothing.status_code, nothing.content) == (204, b"")


def test_errors_become_answers(ask: Ask) -> None:
    answers = [ask("DELETE", f"/api/v1/things/{number}") for number in (1, 2, 3)]
    assert [(one.status_code, one.json()) for one in answers] == [
        (422, {"error": "1 must stay"}),
        (422, {"detail": "2 is no number for this"}),
        (503, {"error": "the model is not available"}),
    ]


def test_the_schema_of_the_api_has_the_parameters(ask: Ask) -> None:
    operation = ask("GET", "/api/v1/openapi.json").json()["paths"]["/api/v1/things/{number}"]["get"]
    assert {one["name"] for one in operation["parameters"]} == {"number", "page", "tag", "plugin"}
    assert (operation["summary"], operation["tags"]) == ("Show", ["thing"])


def test_a_route_declared_wrongly_or_taken_is_left_out_and_logged(
    routes_of: Callable[..., tuple[PluginRoutes, Ask]], caplog: pytest.LogCaptureFixture
) -> None:
    routes, request = routes_of()
    before = request("GET", "/api/v1/status").json()
    routes.add(
        "thing",
        (
            Route("GET", "/status", "view", "Taken", teapot),
            Route("GET", "/wrong/{number}", "view", "No annotation", without_annotation),
            Route("GET", "/reserved", "view", "A reserved name", reserved),
            Route("GET", "/teapot", "view", "Well", teapot),
        ),
    )
    routes.add("other", (Route("GET", "/teapot", "view", "Taken by thing", picture),))
    assert request("GET", "/api/v1/status").json() == before
    assert [request("GET", f"/api/v1/{path}").status_code for path in ("wrong/1", "reserved", "teapot")] == [
        404,
        404,
        418,
    ]
    assert [record.getMessage() for record in caplog.records if "plug-in" in record.getMessage()] == [
        "plug-in thing: the API already has GET /api/v1/status; its route is left out",
        "plug-in thing: its route GET /api/v1/wrong/{number} is left out: TypeError: without_annotation needs "
        "annotations for number",
        "plug-in thing: its route GET /api/v1/reserved is left out: TypeError: query must be a pydantic model without "
        "the fields plugin",
        "plug-in other: the API already has GET /api/v1/teapot; its route is left out",
    ]


def test_routes_of_an_installed_plugin_that_does_not_run_are_refused_until_they_are_added(
    routes_of: Callable[..., tuple[PluginRoutes, Ask]],
) -> None:
    routes, request = routes_of(runs_nothing)
    for path in ("faces", "faces/Ada", "unknown-faces"):
        refused = request("GET", f"/api/v1/{path}")
        assert (refused.status_code, refused.json()) == (422, {"error": "no face plug-in runs"})
    assert [
        request("GET", path).status_code
        for path in ("/api/v1", "/api/v1/", "/api/v1/face", "/faces", "/x/api/v1/faces")
    ] == ([404] * 5)
    routes.add("face", (Route("GET", "/faces", "view", "Now served", lambda service: None),))
    assert request("GET", "/api/v1/faces/Ada").status_code == 404, "the plug-in has no such route"
