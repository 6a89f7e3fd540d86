"""Users named by a reverse proxy, over HTTP: only a trusted one is believed, whatever clients send."""

from __future__ import annotations

import socket
from itertools import count
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from sightd.daemon.config.model import Access as AccessOptions
from sightd.daemon.config.model import Http
from sightd.daemon.metrics.registry import Metrics
from sightd.daemon.serve.auth import Access
from sightd.daemon.serve.http.app import create_app
from sightd.daemon.serve.http.server import HttpServer
from tests.daemon.serve.http.test_app import View
from tests.daemon.serve.http.test_auth import TOKENS, bearer, reloaded
from tests.support.app_client import HOST, AppClient

pytestmark = pytest.mark.waiting


PROXY = "10.0.0.2"
USER = "X-Forwarded-User"
GROUPS = "X-Forwarded-Groups"
OPTIONS: dict[str, Any] = {
    "header": USER,
    "groups_header": GROUPS,
    "users": {"ada": "admin", "bob": "view", "jörg": "operate"},
    "groups": {"guards": "operate", "house": "view"},
}


class Site:
    """The application behind a proxy at PROXY, with a token for each role."""

    def __init__(self, **options: Any) -> None:
        tokens = {role: {"role": role, "token": token} for role, token in TOKENS.items()}
        model = AccessOptions.model_validate({"tokens": tokens, "proxy": {**OPTIONS, **options}})
        self.access = Access(model, proxies=["10.0.0.2/31"])
        self.app = create_app(View(), Metrics(CollectorRegistry(), "1").exposition, 1, self.access, reloaded)
        self._numbers = count(1)

    def client(self, via: str = PROXY) -> AppClient:
        return AppClient(self.app, f"192.0.2.{next(self._numbers)}", via=via)

    def me(self, *headers: tuple[str, str], via: str = PROXY) -> httpx.Response:
        return self.client(via).get("/api/v1/me", headers=[*headers])


@pytest.fixture(scope="module")
def site() -> Site:
    return Site()


def named(answer: httpx.Response) -> tuple[str, str, str]:
    assert answer.status_code == 200, answer.text
    body = answer.json()
    return body["name"], body["role"], body["how"]


@pytest.mark.parametrize(
    ("headers", "name", "role"),
    [
        ([(USER, "ada")], "ada", "admin"),
        ([(USER, " bob ")], "bob", "view"),
        ([(USER, "bob"), (GROUPS, "staff, guards,house")], "bob", "operate"),
        ([(USER, "eve"), (GROUPS, "house")], "eve", "view"),
        ([(USER.lower(), "ada")], "ada", "admin"),
    ],
)
def test_a_user_has_the_highest_role_of_its_own_and_of_its_groups(
    site: Site, headers: list[tuple[str, str]], name: str, role: str
) -> None:
    assert named(site.me(*headers)) == (name, role, "proxy")


def test_names_are_utf_8(site: Site) -> None:
    answer = site.client().get("/api/v1/me", headers=[(USER.encode(), "jörg".encode())])
    assert named(answer) == ("jörg", "operate", "proxy")


@pytest.mark.parametrize("via", ["192.0.2.1", "10.0.0.1", "127.0.0.1", "not an address", "::1"])
def test_a_client_that_names_itself_is_not_believed(site: Site, via: str) -> None:
    assert site.me((USER, "ada"), via=via).status_code == 401


@pytest.mark.parametrize("via", ["10.0.0.3", "::ffff:10.0.0.2"])
def test_networks_and_mapped_addresses_are_understood(site: Site, via: str) -> None:
    assert named(site.me((USER, "ada"), via=via))[0] == "ada"


@pytest.mark.parametrize(
    "headers",
    [
        [(USER, "bob"), (USER, "ada")],
        [(USER, "bob, ada")],
        [(USER, "ada"), (USER.lower(), "ada")],
        [(USER, "bob"), (GROUPS, "house"), (GROUPS, "guards")],
        [(USER, "a\tb")],
        [(USER, "x" * 201)],
    ],
)
def test_a_request_that_names_several_users_or_none_that_can_be_is_refused(
    site: Site, headers: list[tuple[str, str]]
) -> None:
    """The proxy then passes on a header of its client."""
    answer = site.me(*headers)
    assert answer.status_code == 400
    assert "X-Forwarded-" in answer.json()["detail"]


@pytest.mark.parametrize("headers", [[(USER, "eve")], [(USER, "ADA")], [(USER, "eve"), (GROUPS, "guard,")]])
def test_a_user_without_a_role_is_refused(site: Site, headers: list[tuple[str, str]]) -> None:
    answer = site.me(*headers)
    assert (answer.status_code, "has no role" in answer.json()["detail"]) == (403, True)


def test_a_user_without_a_role_of_its_own_gets_the_default(site: Site) -> None:
    with_default = Site(default_role="view")
    assert named(with_default.me((USER, "eve"))) == ("eve", "view", "proxy")
    assert named(with_default.me((USER, "ada")))[1] == "admin"


@pytest.mark.parametrize("headers", [[], [(USER, "")], [(GROUPS, "guards")]])
def test_a_proxy_that_names_no_user_gets_nothing(site: Site, headers: list[tuple[str, str]]) -> None:
    assert site.me(*headers).status_code == 401


def test_tokens_work_through_the_proxy_too(site: Site) -> None:
    client = site.client()
    assert named(client.get("/api/v1/me", headers=bearer(TOKENS["view"]))) == ("view", "view", "token")
    assert named(client.get("/api/v1/me", auth=("operate", TOKENS["operate"])))[0] == "operate"


def test_a_bearer_comes_before_the_user_of_the_proxy_and_this_before_session_and_password(site: Site) -> None:
    """A proxy that asks for a password itself passes it on."""
    client = site.client()
    both = {USER: "bob", **bearer(TOKENS["operate"])}
    assert named(client.get("/api/v1/me", headers=both)) == ("operate", "operate", "token")
    assert named(client.get("/api/v1/me", headers={USER: "bob"}, auth=("bob", "its password")))[0] == "bob"
    client.post("/api/v1/login", json={"token": TOKENS["admin"]}, headers={"X-Sightd": "1"})
    assert named(client.get("/api/v1/me"))[0] == "admin"
    assert named(client.get("/api/v1/me", headers={USER: "bob"}))[0] == "bob"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"X-Sightd": "1", "Origin": "https://evil.example"}, 403),
        ({"X-Sightd": "1", "Origin": HOST}, 200),
        ({"X-Sightd": "1"}, 200),
    ],
)
def test_a_foreign_page_changes_nothing_through_the_proxy(site: Site, headers: dict[str, str], status: int) -> None:
    """The proxy knows its user by a cookie, which the browser sends for any page."""
    assert site.client().post("/api/v1/reload", headers={USER: "ada", **headers}).status_code == status


def test_without_tokens_too_everybody_else_is_closed_out() -> None:
    model = AccessOptions.model_validate({"proxy": OPTIONS})
    app = create_app(View(), Metrics(CollectorRegistry(), "1").exposition, 1, Access(model, proxies=[PROXY]), reloaded)
    assert AppClient(app, "127.0.0.1").get("/api/v1/me").status_code == 401
    assert AppClient(app, "127.0.0.1", via=PROXY).get("/api/v1/me", headers={USER: "ada"}).status_code == 200
    assert AppClient(app).get("/api/v1/login").json() == {"token": False, "oidc": False}


@pytest.mark.parametrize(("proxies", "status"), [(["127.0.0.1"], 200), (["192.0.2.77"], 401)])
def test_the_connection_counts_and_not_the_address_that_a_header_gives(proxies: list[str], status: int) -> None:
    """X-Forwarded-For replaces the client's address before the application sees it."""
    access = Access(AccessOptions.model_validate({"proxy": OPTIONS}), proxies=proxies)
    app = create_app(View(), Metrics(CollectorRegistry(), "1").exposition, 1, access, reloaded)
    server = HttpServer(Http.model_validate({"port": 0, "proxies": proxies}), app)
    server.start()
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            headers = f"Host: a\r\nX-Forwarded-For: 192.0.2.77\r\n{USER}: ada\r\nConnection: close\r\n"
            connection.sendall(f"GET /api/v1/me HTTP/1.1\r\n{headers}\r\n".encode())
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
    finally:
        server.close()
    assert answer.split()[1] == str(status).encode()
