"""Login of browsers by a token: the session's cookie, what it opens, and what foreign pages can do with it."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import Response
from prometheus_client import CollectorRegistry
from starlette.routing import Match

from sightd.daemon.config.model import Access as AccessOptions
from sightd.daemon.metrics.registry import Metrics
from sightd.daemon.serve.auth import AT_ONCE, Access
from sightd.daemon.serve.http.app import create_app
from sightd.daemon.serve.http.auth import open_routes
from sightd.daemon.serve.live_results import LiveResults
from sightd.daemon.serve.sessions import IDLE, Sessions
from tests.daemon.serve.http.test_app import View
from tests.daemon.serve.http.test_auth import TOKENS, bearer, reloaded
from tests.daemon.serve.test_sessions import Clock
from tests.support.app_client import HOST, AppClient

pytestmark = pytest.mark.computing

OWN = {"X-Sightd": "1"}
COOKIE = "sightd-session-8080"


class Served:
    """The application, and browsers that come from different addresses."""

    def __init__(self, tokens: dict[str, str]) -> None:
        metrics = Metrics(CollectorRegistry(), "1.2.3")
        options = {role: {"role": role, "token": token} for role, token in tokens.items()}
        self.access = Access(AccessOptions.model_validate({"tokens": options}), metrics.refused)
        self.app: FastAPI = create_app(View(), metrics.exposition, 1, self.access, reloaded, live=LiveResults())
        self._numbers = count(1)

    def browser(self, base_url: str = HOST) -> AppClient:
        return AppClient(self.app, f"192.0.2.{next(self._numbers)}", base_url)


@pytest.fixture(scope="module")
def served() -> Served:
    """Shared by the tests of this module, each of which has its own browsers."""
    return Served(TOKENS)


@pytest.fixture(scope="module")
def unguarded() -> Served:
    """Without tokens."""
    return Served({})


@pytest.fixture
def browser(served: Served) -> AppClient:
    return served.browser()


def log_in(browser: AppClient, token: str = TOKENS["admin"], headers: dict[str, str] = OWN) -> Response:
    return browser.post("/api/v1/login", json={"token": token}, headers=headers)


def test_exactly_these_routes_need_no_token(served: Served) -> None:
    found = {(method, route.path) for route in open_routes(served.app.routes) for method in route.methods or ()}
    assert found == {
        ("GET", "/healthz"),
        ("GET", "/"),
        ("GET", "/console/{path:path}"),
        ("GET", "/api/v1/login"),
        ("POST", "/api/v1/login"),
    }


def test_no_open_route_opens_another_one(served: Served) -> None:
    """The middleware lets in what an open route matches; the router then takes the first route that matches."""
    for route in open_routes(served.app.routes):
        for method in route.methods or ():
            scope = {"type": "http", "path": route.path, "method": method, "root_path": ""}
            first = next(one for one in served.app.routes if one.matches(dict(scope))[0] is Match.FULL)
            included = getattr(first, "original_router", None)
            assert route in ([first] if included is None else included.routes), route.path


@pytest.mark.parametrize("path", ["/api/v1/login/", "/api/v1/login/x", "//api/v1/login", "/api/v1/LOGIN", "/healthz/x"])
def test_what_only_looks_like_an_open_route_is_closed(browser: AppClient, path: str) -> None:
    assert browser.get(HOST + path).status_code == 401


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
def test_other_methods_of_an_open_route_are_closed(browser: AppClient, method: str) -> None:
    assert browser.request(method, "/api/v1/login").status_code == 401


def test_the_login_page_learns_which_logins_exist_and_nothing_else(browser: AppClient, unguarded: Served) -> None:
    assert browser.get("/api/v1/login").json() == {"token": True, "oidc": False}
    assert unguarded.browser().get("/api/v1/login").json() == {"token": False, "oidc": False}


def test_a_token_begins_a_session_with_its_role(browser: AppClient) -> None:
    answer = log_in(browser, TOKENS["operate"])
    assert answer.status_code == 200
    assert answer.json() == {
        "name": "operate",
        "role": "operate",
        "roles": ["view", "operate"],
        "how": "session",
        "login": {"token": True, "oidc": False},
    }
    assert browser.get("/api/v1/me").json() == answer.json()
    assert browser.get("/metrics").status_code == 200
    assert browser.post("/api/v1/reload", headers=OWN).status_code == 403


def test_the_cookie_is_out_of_reach_of_scripts_and_other_pages(browser: AppClient) -> None:
    name, _, attributes = log_in(browser).headers["set-cookie"].partition("=")
    assert name == COOKIE, "another server on this host has another port, and so another cookie"
    found = {one.strip().lower() for one in attributes.split(";")[1:]}
    assert found == {"httponly", "samesite=strict", "path=/", "max-age=2592000"}


def test_over_tls_the_cookie_is_never_sent_in_clear_text_and_no_other_host_can_set_it(served: Served) -> None:
    browser = served.browser("https://127.0.0.1")
    name, _, attributes = log_in(browser, TOKENS["view"]).headers["set-cookie"].partition("=")
    assert name == "__Host-sightd-session"
    assert {"secure", "path=/"} < {one.strip().lower() for one in attributes.split(";")}
    assert "domain" not in attributes.lower()
    assert browser.get("/api/v1/me").json()["name"] == "view"


def test_logging_out_ends_the_session_and_not_only_the_cookie(served: Served, browser: AppClient) -> None:
    log_in(browser)
    secret = browser.cookies[COOKIE]
    answer = browser.post("/api/v1/logout", headers=OWN)
    assert (answer.status_code, answer.json()) == (200, {"redirect": None})
    assert "max-age=0" in answer.headers["set-cookie"].lower()
    assert browser.get("/api/v1/me").status_code == 401
    assert served.browser().get("/api/v1/me", headers={"Cookie": f"{COOKIE}={secret}"}).status_code == 401


def test_logging_out_ends_no_other_session(served: Served, browser: AppClient) -> None:
    other = served.browser()
    log_in(other)
    log_in(browser)
    browser.post("/api/v1/logout", headers=OWN)
    assert other.get("/api/v1/me").status_code == 200


def test_a_session_that_was_not_used_for_long_has_ended(
    served: Served, browser: AppClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(served.access, "sessions", Sessions(clock=clock))
    log_in(browser)
    assert browser.get("/api/v1/me").status_code == 200
    clock.now += IDLE
    assert browser.get("/api/v1/me").status_code == 401


@pytest.mark.parametrize("body", [{}, {"token": ""}, {"token": 1}, {"token": "x" * 2000}, {"token": "x", "user": "y"}])
def test_a_body_that_is_no_login_is_refused_and_not_repeated(browser: AppClient, body: dict[str, object]) -> None:
    answer = browser.post("/api/v1/login", json=body, headers=OWN)
    assert answer.status_code == 422
    assert "xxx" not in answer.text


def test_the_body_of_a_login_is_small(browser: AppClient) -> None:
    assert log_in(browser, "x" * 5000).status_code == 413


def test_a_wrong_token_begins_nothing_and_is_not_repeated(browser: AppClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        answer = log_in(browser, "a-guess-4711")
    assert (answer.status_code, answer.json()) == (401, {"detail": "This token is unknown, or was revoked."})
    assert "set-cookie" not in answer.headers
    assert "www-authenticate" not in answer.headers
    assert "a-guess-4711" not in caplog.text


def test_guessing_is_as_slow_at_the_login_as_everywhere(served: Served, browser: AppClient) -> None:
    assert [log_in(browser, f"guess {number}").status_code for number in range(AT_ONCE)] == [401] * AT_ONCE
    answer = log_in(browser)
    assert (answer.status_code, 1 <= int(answer.headers["retry-after"]) <= 6) == (429, True)
    assert browser.get("/metrics", headers=bearer(TOKENS["admin"])).status_code == 429
    assert log_in(served.browser()).status_code == 200


def test_guesses_from_the_same_address_end_no_session(browser: AppClient) -> None:
    log_in(browser)
    for number in range(AT_ONCE + 1):
        assert log_in(browser, f"guess {number}").status_code in (401, 429)
    assert browser.get("/api/v1/me").status_code == 200


def test_a_cookie_that_is_no_session_opens_nothing_and_counts_as_no_guess(browser: AppClient) -> None:
    """After a restart, every open browser sends one."""
    for number in range(AT_ONCE + 1):
        cookie = {"Cookie": f"{COOKIE}=guess{number}"}
        assert browser.get("/api/v1/me", headers=cookie).status_code == 401
    assert log_in(browser).status_code == 200


def test_two_cookies_of_this_name_open_nothing(served: Served, browser: AppClient) -> None:
    """Another server of the host may have set one of them, so that a user works under another name."""
    log_in(browser)
    cookie = f"{COOKIE}={browser.cookies[COOKIE]}"
    other = served.browser()
    assert other.get("/api/v1/me", headers={"Cookie": cookie}).status_code == 200
    assert other.get("/api/v1/me", headers={"Cookie": f"{cookie}; {COOKIE}=other"}).status_code == 401


@pytest.mark.parametrize("origin", [None, "https://evil.example", "http://127.0.0.1:9090", "null", "http://[::1"])
def test_a_foreign_page_changes_nothing_with_the_cookie(browser: AppClient, origin: str | None) -> None:
    log_in(browser)
    headers = {} if origin is None else {**OWN, "Origin": origin}
    for path in ("/api/v1/reload", "/api/v1/logout"):
        assert browser.post(path, headers=headers).status_code == 403
    assert browser.get("/api/v1/me").status_code == 200


def test_our_own_page_changes_what_its_role_allows(browser: AppClient) -> None:
    log_in(browser)
    assert browser.post("/api/v1/reload", headers={**OWN, "Origin": HOST}).status_code == 200


@pytest.mark.parametrize("headers", [{}, {**OWN, "Origin": "https://evil.example"}])
def test_a_foreign_page_logs_no_browser_in(browser: AppClient, headers: dict[str, str]) -> None:
    """Its user would work under the attacker's name without knowing."""
    answer = log_in(browser, TOKENS["view"], headers)
    assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)


@pytest.mark.parametrize(("origin", "accepted"), [(HOST, True), ("https://evil.example", False)])
def test_a_websocket_opens_with_the_cookie_for_our_own_pages_only(
    served: Served, browser: AppClient, origin: str, accepted: bool
) -> None:
    log_in(browser)
    headers = {"Host": "127.0.0.1:8080", "Origin": origin, "Cookie": f"{COOKIE}={browser.cookies[COOKIE]}"}
    answer = asyncio.run(opened_websocket(served.app, headers))
    assert answer == ("websocket.accept" if accepted else "websocket.http.response.start")


async def opened_websocket(app: FastAPI, headers: dict[str, str]) -> str:
    """Returns the type of the first message that is sent to the client, which then leaves."""
    scope = {
        "type": "websocket",
        "path": "/api/v1/stream",
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "extensions": {"websocket.http.response": {}},
    }
    sent: list[str] = []
    received = iter(["websocket.connect", "websocket.disconnect"])

    async def send(message: Any) -> None:
        sent.append(message["type"])

    async def receive() -> Any:
        return {"type": next(received), "code": 1000}

    await app(scope, receive, send)
    return sent[0]


def test_a_bearer_comes_before_the_session_and_the_session_before_a_password(browser: AppClient) -> None:
    """A browser that was once asked for a password sends it with each request."""
    log_in(browser, TOKENS["operate"])
    me = browser.get("/api/v1/me", headers=bearer(TOKENS["view"])).json()
    assert (me["name"], me["how"]) == ("view", "token")
    assert browser.get("/api/v1/me", auth=("view", TOKENS["view"])).json()["name"] == "operate"
    assert browser.get("/api/v1/me", headers=bearer("a-guess")).status_code == 401


@pytest.mark.parametrize(
    ("headers", "asks"),
    [
        ({}, True),  # curl, VLC
        ({"Accept": "text/html,*/*"}, True),  # an address that somebody opens
        ({"Accept": "text/html,*/*", "Referer": f"{HOST}/"}, True),  # a link that somebody follows
        ({"Accept": "image/*,*/*", "Referer": "http://grafana.example/d/1"}, True),
        (OWN, False),  # a script of the console
        ({"Accept": "image/*,*/*", "Referer": f"{HOST}/"}, False),  # an image in the console
    ],
)
def test_the_browser_asks_for_a_password_only_if_no_page_can(
    browser: AppClient, headers: dict[str, str], asks: bool
) -> None:
    answer = browser.get("/front.mjpg", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic" if asks else "Bearer")


def test_without_tokens_programs_of_this_machine_need_no_login(unguarded: Served) -> None:
    me = unguarded.browser().get("/api/v1/me").json()
    assert (me["name"], me["role"], me["how"]) == ("this machine", "admin", "loopback")


def test_a_login_is_logged_with_name_and_address_and_without_secrets(
    browser: AppClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG"):
        log_in(browser)
        browser.get("/api/v1/me")
    assert any(line.startswith("admin (admin) has logged in from 192.0.2.") for line in caplog.messages)
    assert not [secret for secret in (TOKENS["admin"], browser.cookies[COOKIE]) if secret in caplog.text]
