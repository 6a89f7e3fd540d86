"""The API describes itself completely, and a page shows it without anything from elsewhere."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from tests.daemon.serve.http.test_administration import Api, shared  # noqa: F401 — a fixture

pytestmark = pytest.mark.computing

METHODS = {"get", "put", "post", "delete", "patch"}


@pytest.fixture
def api(shared: Api) -> Api:  # noqa: F811
    return shared


@pytest.fixture
def operations(api: Api) -> dict[str, dict[str, Any]]:
    paths = api("GET", "/openapi.json").json()["paths"]
    return {
        f"{method.upper()} {path}": one
        for path, all_ in paths.items()
        for method, one in all_.items()
        if method in METHODS
    }


def test_every_operation_says_what_it_is_and_which_role_it_needs(operations: dict[str, dict[str, Any]]) -> None:
    assert len(operations) > 40
    assert {name for name, one in operations.items() if not one.get("summary")} == set()
    ids = [one["operationId"] for one in operations.values()]
    assert len(ids) == len(set(ids))
    roles = {name: one["x-role"] for name, one in operations.items()}
    assert roles["PUT /api/v1/configuration"] == "admin"
    assert roles["POST /api/v1/cameras/{camera}/pause"] == "operate"
    assert roles["GET /api/v1/cameras"] == "view"
    assert (roles["GET /healthz"], roles["POST /api/v1/login"]) == ("none", "none")


def test_every_operation_describes_its_refusals(operations: dict[str, dict[str, Any]]) -> None:
    for name, one in operations.items():
        assert "default" in one["responses"], name
        assert one["x-role"] == "none" or {"401", "403", "429"} <= one["responses"].keys(), name


def test_the_ways_to_authenticate_are_described(api: Api) -> None:
    found = api("GET", "/openapi.json", role="view").json()
    assert set(found["components"]["securitySchemes"]) >= {"bearer", "basic"}
    assert found["paths"]["/healthz"]["get"]["security"] == []


def test_every_reference_leads_somewhere(api: Api) -> None:
    answer = api("GET", "/openapi.json")
    schemas = answer.json()["components"]["schemas"]
    named = set(re.findall(r'"#/components/schemas/([^"]+)"', answer.text))
    assert named <= schemas.keys()


def test_the_page_loads_only_its_own_files(api: Api) -> None:
    page = api("GET", "/docs", role="view")
    assert page.headers["content-type"].startswith("text/html")
    assert "'unsafe-inline'" not in page.headers["content-security-policy"]
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bon\w+=|https?://", page.text)
    for name in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        file = api("GET", f"/{name}", role="view")
        assert file.status_code == 200
        assert not re.search(r"https?://|innerHTML|eval\(", file.text)
    assert httpx.get(f"http://127.0.0.1:{api.server.port}/api/v1/docs").status_code == 401
