"""Tokens are listed, created and revoked over HTTP, by administrators."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from sightd.daemon.config.model import Access as AccessOptions
from sightd.daemon.metrics.registry import Metrics
from sightd.daemon.serve.auth import Access
from sightd.daemon.serve.http.app import create_app
from sightd.daemon.serve.stored_tokens import StoredTokens
from tests.daemon.serve.http.test_app import View
from tests.daemon.serve.http.test_auth import TOKENS, bearer, reloaded
from tests.support.app_client import AppClient

pytestmark = pytest.mark.computing

ADMIN = bearer(TOKENS["admin"])


class Site:
    """The application with the tokens of the configuration, and a folder for others."""

    def __init__(self, folder: Path, tokens: dict[str, str]) -> None:
        options = {role: {"role": role, "token": token} for role, token in tokens.items()}
        self.stored = StoredTokens(folder / "tokens.json")
        self.access = Access(AccessOptions.model_validate({"tokens": options}), stored=self.stored)
        self.app = create_app(View(), Metrics(CollectorRegistry(), "1").exposition, 1, self.access, reloaded)
        self._numbers = count(1)

    def client(self) -> AppClient:
        return AppClient(self.app, f"192.0.2.{next(self._numbers)}")

    def create(self, name: str = "wall", role: str = "view") -> str:
        answer = self.client().post("/api/v1/tokens", json={"name": name, "role": role}, headers=ADMIN)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["token"])


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, TOKENS)


def test_a_created_token_is_shown_once_and_opens_what_its_role_may(site: Site) -> None:
    client = site.client()
    answer = client.post("/api/v1/tokens", json={"name": "wall", "role": "operate"}, headers=ADMIN)
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    token = answer.json()["token"]
    assert len(token) == 43, "256 random bits"
    assert client.get("/api/v1/me", headers=bearer(token)).json()["role"] == "operate"
    assert client.post("/api/v1/reload", headers=bearer(token)).status_code == 403
    assert token not in client.get("/api/v1/tokens", headers=ADMIN).text


def test_all_tokens_are_listed_with_where_they_are_from_and_when_they_were_used(site: Site) -> None:
    site.create()
    listed = {one["name"]: one for one in site.client().get("/api/v1/tokens", headers=ADMIN).json()}
    assert {name: (one["role"], one["source"]) for name, one in listed.items()} == {
        "view": ("view", "configuration"),
        "operate": ("operate", "configuration"),
        "admin": ("admin", "configuration"),
        "wall": ("view", "api"),
    }
    assert listed["wall"]["created"].endswith("Z")
    assert (listed["wall"]["last_used"], listed["view"]["last_used"]) == (None, None)
    assert listed["admin"]["last_used"].endswith("Z")
    assert all(set(one) == {"name", "role", "source", "created", "last_used"} for one in listed.values())


def test_a_revoked_token_opens_nothing_and_its_sessions_end(site: Site) -> None:
    token, browser = site.create(), site.client()
    browser.post("/api/v1/login", json={"token": token}, headers={"X-Sightd": "1"})
    assert browser.get("/api/v1/me").json()["name"] == "wall"
    assert site.client().delete("/api/v1/tokens/wall", headers=ADMIN).status_code == 204
    assert browser.get("/api/v1/me").status_code == 401
    assert site.client().get("/api/v1/me", headers=bearer(token)).status_code == 401
    again = site.create()
    assert again != token
    assert browser.get("/api/v1/me").status_code == 401, "the session was that of the old token"


def test_a_token_of_the_configuration_can_only_be_removed_there(site: Site) -> None:
    answer = site.client().delete("/api/v1/tokens/view", headers=ADMIN)
    assert answer.status_code == 409
    assert "remove it from access.tokens there, and restart" in answer.json()["detail"]
    assert site.client().get("/api/v1/me", headers=bearer(TOKENS["view"])).status_code == 200


def test_a_token_that_does_not_exist_cannot_be_revoked(site: Site) -> None:
    assert site.client().delete("/api/v1/tokens/nobody", headers=ADMIN).status_code == 404


@pytest.mark.parametrize("name", ["view", "wall"])
def test_a_name_is_given_once(site: Site, name: str) -> None:
    site.create("wall")
    answer = site.client().post("/api/v1/tokens", json={"name": name, "role": "admin"}, headers=ADMIN)
    assert answer.status_code == 409
    assert "choose another name" in answer.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [{}, {"name": "wall"}, {"name": "A wall", "role": "view"}, {"name": "wall", "role": "root"}, {"name": "../x"}],
)
def test_what_describes_no_token_is_refused(site: Site, body: dict[str, str]) -> None:
    assert site.client().post("/api/v1/tokens", json=body, headers=ADMIN).status_code == 422
    assert site.stored.tokens == {}


@pytest.mark.parametrize("role", ["view", "operate"])
def test_only_administrators_see_and_change_tokens(site: Site, role: str) -> None:
    site.create()
    client, headers = site.client(), bearer(TOKENS[role])
    assert client.get("/api/v1/tokens", headers=headers).status_code == 403
    assert client.post("/api/v1/tokens", json={"name": "a", "role": "admin"}, headers=headers).status_code == 403
    assert client.delete("/api/v1/tokens/wall", headers=headers).status_code == 403
    assert set(site.stored.tokens) == {"wall"}


def test_without_tokens_in_the_configuration_none_is_created_which_would_restrict_nobody(tmp_path: Path) -> None:
    site = Site(tmp_path, {})
    answer = site.client().post("/api/v1/tokens", json={"name": "a", "role": "admin"}, headers={"X-Sightd": "1"})
    assert answer.status_code == 409
    assert "sightd token" in answer.json()["detail"]


def test_stored_tokens_keep_the_server_closed_when_the_configuration_loses_its_own(tmp_path: Path) -> None:
    token = Site(tmp_path, TOKENS).create("root", "admin")
    site = Site(tmp_path, {})
    site.stored.load()
    assert site.client().get("/metrics").status_code == 401
    assert site.client().get("/metrics", headers=bearer(token)).status_code == 200


def test_a_disk_that_cannot_be_written_is_reported_and_changes_nothing(site: Site) -> None:
    site.stored.path.mkdir()
    answer = site.client().post("/api/v1/tokens", json={"name": "wall", "role": "view"}, headers=ADMIN)
    assert answer.status_code == 503
    assert "nothing was changed" in answer.json()["error"]
    assert site.stored.tokens == {}
