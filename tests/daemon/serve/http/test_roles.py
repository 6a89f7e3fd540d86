"""All routes of the application and of all plug-ins, times all roles: who gets in, and who does not."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, APIWebSocketRoute
from prometheus_client import CollectorRegistry

from sightd.daemon.app.log_ring import LogRing
from sightd.daemon.app.plugin_services import NoServiceError
from sightd.daemon.config.model import Access as AccessOptions
from sightd.daemon.config.webrtc import WebRtc
from sightd.daemon.delivery.manager import EventDelivery
from sightd.daemon.metrics.registry import Metrics
from sightd.daemon.ptz.manager import PtzManager
from sightd.daemon.recording.index import ClipReader
from sightd.daemon.serve.auth import Access
from sightd.daemon.serve.http.app import create_app
from sightd.daemon.serve.http.routes_finding import add_finding
from sightd.daemon.serve.http.routes_plugins import PluginRoutes
from sightd.daemon.serve.live_results import LiveResults
from sightd.daemon.serve.stored_tokens import StoredTokens
from sightd.daemon.serve.webrtc.service import WebRtcService
from sightd.plugins.configuration import registry
from tests.daemon.serve.http.test_app import View
from tests.daemon.serve.http.test_auth import TOKENS, bearer, reloaded
from tests.support.administration import Site
from tests.support.app_client import AppClient
from tests.support.openid_provider import OpenIdProvider

pytestmark = pytest.mark.computing

Operation = tuple[str, str]

OPEN = """
    GET /
    GET /console/{path:path}
    GET /healthz
    GET /api/v1/login
    POST /api/v1/login
    GET /api/v1/login/oidc
    GET /api/v1/login/oidc/callback
"""
VIEW_CHANGES = """
    POST /api/v1/logout
    POST /api/v1/whep/{camera}
    DELETE /api/v1/whep/sessions/{session}
    OPTIONS /api/v1/whep/{camera}
"""
"""What the role view may change: only what belongs to the viewer."""
OPERATE = """
    POST /api/v1/cameras/{camera}/pause
    POST /api/v1/cameras/{camera}/ptz/home
    POST /api/v1/cameras/{camera}/ptz/move
    POST /api/v1/cameras/{camera}/ptz/position
    POST /api/v1/cameras/{camera}/ptz/preset
    POST /api/v1/cameras/{camera}/ptz/step
    POST /api/v1/cameras/{camera}/ptz/stop
    POST /api/v1/cameras/{camera}/resume
    POST /api/v1/clips/{number}/protect
    POST /api/v1/clips/{number}/unprotect
    POST /api/v1/compare-faces
    GET /api/v1/faces
    GET /api/v1/faces/{name}
    PATCH /api/v1/faces/{name}
    POST /api/v1/faces/{name}/merge
    POST /api/v1/faces/{name}/photos
    GET /api/v1/unknown-faces
    GET /api/v1/unknown-faces/{number}.png
    POST /api/v1/unknown-faces/{number}/name
    GET /api/v1/unknown-faces/{number}/nearest
"""
ADMIN = """
    POST /api/v1/calibrate-faces
    POST /api/v1/cameras
    PUT /api/v1/cameras/order
    POST /api/v1/cameras/probe
    DELETE /api/v1/cameras/{camera}
    PATCH /api/v1/cameras/{camera}
    GET /api/v1/cameras/{camera}/options
    PUT /api/v1/cameras/{camera}/ptz/home
    POST /api/v1/cameras/{camera}/ptz/presets
    DELETE /api/v1/cameras/{camera}/ptz/presets/{preset}
    PUT /api/v1/cameras/{camera}/ptz/presets/{preset}
    DELETE /api/v1/clips/{number}
    GET /api/v1/configuration
    PUT /api/v1/configuration
    POST /api/v1/configuration/check
    GET /api/v1/configuration/history
    GET /api/v1/configuration/history/{version}
    POST /api/v1/configuration/history/{version}/restore
    POST /api/v1/delivery/{sink}/delete
    POST /api/v1/delivery/{sink}/retry
    POST /api/v1/discovery
    GET /api/v1/export-faces
    DELETE /api/v1/faces/{name}
    POST /api/v1/import-faces
    DELETE /api/v1/jobs/{job}
    GET /api/v1/log
    GET /api/v1/log/stream
    POST /api/v1/models/{model}/fetch
    PATCH /api/v1/plugins/{plugin}
    POST /api/v1/reembed-faces
    POST /api/v1/reload
    POST /api/v1/rules/trial
    DELETE /api/v1/rules/{rule}
    PUT /api/v1/rules/{rule}
    GET /api/v1/tokens
    POST /api/v1/tokens
    DELETE /api/v1/tokens/{name}
    DELETE /api/v1/unknown-faces
    DELETE /api/v1/unknown-faces/{number}
    DELETE /api/v1/zones
    PUT /api/v1/zones
    DELETE /api/v1/zones/{camera}
    PUT /api/v1/zones/{camera}
    DELETE /api/v1/zones/{camera}/{name}
    PUT /api/v1/zones/{camera}/{name}
"""


def operations(text: str) -> set[Operation]:
    return {(method, path) for method, path in (line.split() for line in text.strip().splitlines())}


class Whole:
    """The application with all that it can have, and the routes of all plug-ins, of which no service runs."""

    def __init__(self, folder: Path, provider: OpenIdProvider) -> None:
        self.site = Site(folder)
        metrics = Metrics(CollectorRegistry(), "1.2.3")
        tokens = {role: {"role": role, "token": token} for role, token in TOKENS.items()}
        options = {"tokens": tokens, "oidc": provider.options("http://127.0.0.1:8080")}
        access = Access(AccessOptions.model_validate(options), stored=StoredTokens(folder / "tokens.json"))
        delivery = EventDelivery(self.site.journal, {"SIGHTD_STATE_DIR": str(folder)}, metrics.delivery)
        self.webrtc = WebRtcService(WebRtc.model_validate({"port": 0}), "127.0.0.1")
        self.parts: dict[str, Any] = {
            "view": View(),
            "exposition": metrics.exposition,
            "max_viewers": 1,
            "access": access,
            "ask_reload": reloaded,
            "journal": self.site.journal,
            "clips": ClipReader(folder),
            "delivery": delivery,
            "live": LiveResults(),
            "webrtc": self.webrtc,
            "administration": self.site.administration,
            "log_tail": LogRing(),
            "ptz": PtzManager(),
        }
        self.app = create_app(**self.parts)
        add_finding(self.app, dict, access, lambda *_: [])  # does not look for cameras in the network
        plugins = PluginRoutes(self.app, no_service, access)
        for kind in registry.available():
            plugins.add(kind, registry.load(kind).routes)
        self.client = AppClient(self.app)
        self.site.journal.start()

    def close(self) -> None:
        self.webrtc.close()
        self.site.journal.close()

    def status(self, operation: Operation, role: str | None) -> int:
        """Sends a request that gets no further than it must, and returns the answer's status."""
        method, path = operation
        headers = {} if role is None else bearer(TOKENS[role])
        body: object = None if method in ("GET", "HEAD", "DELETE") else {}
        method = "HEAD" if method == "GET" else method  # streams end after their headers
        return self.client.request(method, made_up(path), json=body, headers=headers).status_code


def no_service(kind: str, _plugin: str | None) -> Any:
    raise NoServiceError(f"no {kind} runs")


def made_up(path: str) -> str:
    """Returns an address of a route, of things that do not exist."""
    return re.sub(r"\{(\w+)(:\w+)?\}", lambda found: "7" if found[1] in ("number", "id") else "none", path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    with OpenIdProvider("http://127.0.0.1:8080/api/v1/login/oidc/callback") as provider:
        whole = Whole(tmp_path_factory.mktemp("whole"), provider)
        yield whole
        whole.close()


def routes(app: FastAPI, kind: type[Any]) -> Iterator[Any]:
    """Yields all routes of the table, also those that OpenAPI does not describe."""
    found = [app.router]
    while found:
        for route in found.pop().routes:
            if (included := getattr(route, "original_router", None)) is not None:
                found.append(included)
            elif isinstance(route, kind):
                yield route


@pytest.fixture(scope="module")
def table(whole: Whole) -> dict[Operation, str]:
    """The role that each route of the table requires, as OpenAPI describes it; "view" if it does not."""
    described = whole.app.openapi()["paths"]
    found: dict[Operation, str] = {}
    for route in routes(whole.app, APIRoute):
        for method in route.methods:
            operation = described.get(re.sub(r":\w+\}", "}", route.path), {}).get(method.lower(), {})
            found[method, route.path] = operation.get("x-role", "view")
    return found


def test_what_needs_more_than_view_or_nothing_is_exactly_this(table: dict[Operation, str]) -> None:
    """A new route that changes something, or that everybody may reach, belongs into a list above."""
    by_role = {role: {one for one, required in table.items() if required == role} for role in set(table.values())}
    changing = {one for one in by_role["view"] if one[0] not in ("GET", "HEAD")}
    assert by_role["none"] == operations(OPEN)
    assert changing == operations(VIEW_CHANGES)
    assert by_role["operate"] == operations(OPERATE)
    assert by_role["admin"] == operations(ADMIN)


def test_the_application_has_all_parts_that_it_can_have(whole: Whole) -> None:
    """A new part may have routes. Snapshots and clips only add to routes that are there without them."""
    others = set(signature(create_app).parameters) - whole.parts.keys()
    assert others == {"snapshots", "awaits_clip", "configured"}


def test_openapi_describes_all_routes_but_its_own_page(whole: Whole, table: dict[Operation, str]) -> None:
    described = {(method.upper(), path) for path, methods in whole.app.openapi()["paths"].items() for method in methods}
    hidden = {(method, path) for method, path in table if (method, re.sub(r":\w+\}", "}", path)) not in described}
    assert {path for _, path in hidden} == {"/api/v1/docs", "/api/v1/docs/docs.css", "/api/v1/docs/docs.js"}


def test_each_role_gets_where_it_may_and_no_further(whole: Whole, table: dict[Operation, str]) -> None:
    """With the role a request may fail, because there is no such thing, but not for lack of the role, and not by a
    fault of the server. 503 is what some answer that wait for something that is not there."""
    ranks = ["none", "view", "operate", "admin"]
    wrong: list[tuple[Operation, str, int]] = []
    for operation, required in table.items():
        for role in ranks:
            status = whole.status(operation, None if role == "none" else role)
            if ranks.index(role) >= ranks.index(required):
                right = status not in (401, 403) and (status < 500 or status == 503)
            else:
                right = status == (401 if role == "none" else 403)
            if not right and (operation, role) != (("POST", "/api/v1/login"), "none"):
                wrong.append((operation, role, status))
    assert not wrong, "\n".join(map(str, wrong))


def test_each_websocket_needs_a_token(whole: Whole) -> None:
    paths = [route.path for route in routes(whole.app, APIWebSocketRoute)]
    assert sorted(paths) == ["/api/v1/mse/{camera}", "/api/v1/stream"]
    for path in paths:
        assert asyncio.run(denied(whole.app, made_up(path), {})) == 401
        assert asyncio.run(denied(whole.app, made_up(path), bearer(TOKENS["view"]))) != 401


async def denied(app: FastAPI, path: str, headers: dict[str, str]) -> int | None:
    """Opens a WebSocket. Returns the status with which it was refused; None if it opened."""
    scope = {
        "type": "websocket",
        "path": path,
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in {"Host": "a", **headers}.items()],
        "extensions": {"websocket.http.response": {}},
    }
    sent: list[Any] = []
    received = iter(["websocket.connect", "websocket.disconnect"])

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": next(received), "code": 1000}

    await app(scope, receive, send)
    status: int | None = sent[0].get("status")
    return status
