"""Login at an OpenID provider: a real one of this test, what it may answer, and attacks."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from httpx import Response
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from prometheus_client import CollectorRegistry

from sightd.daemon.config.model import Access as AccessOptions
from sightd.daemon.metrics.registry import Metrics
from sightd.daemon.serve import oidc_provider
from sightd.daemon.serve.auth import Access
from sightd.daemon.serve.http.app import create_app
from sightd.daemon.serve.http.auth import open_routes
from sightd.daemon.serve.oidc_provider import OidcProvider
from sightd.daemon.serve.sessions import LONGEST_LOGIN, Sessions
from tests.daemon.serve.http.test_app import View
from tests.daemon.serve.http.test_auth import TOKENS, reloaded
from tests.daemon.serve.test_sessions import Clock
from tests.support import http
from tests.support.app_client import HOST, AppClient
from tests.support.openid_provider import CLIENT, SECRET, Claims, OpenIdProvider, new_key

pytestmark = pytest.mark.waiting

CALLBACK = f"{HOST}/api/v1/login/oidc/callback"
COOKIE = "sightd-oidc-8080"
OWN = {"X-Sightd": "1"}


class Site:
    """The application as a client of a provider."""

    def __init__(self, provider: OpenIdProvider, **options: Any) -> None:
        self.provider = provider
        metrics = Metrics(CollectorRegistry(), "1")
        tokens = {role: {"role": role, "token": token} for role, token in TOKENS.items()}
        oidc = provider.options(HOST, **options)
        self.access = Access(AccessOptions.model_validate({"tokens": tokens, "oidc": oidc}), metrics.refused)
        self.app = create_app(View(), metrics.exposition, 1, self.access, reloaded)
        self._numbers = count(1)

    def browser(self) -> AppClient:
        return AppClient(self.app, f"192.0.2.{next(self._numbers)}")


@contextmanager
def served(secret: str | None = SECRET, **options: Any) -> Iterator[Site]:
    with OpenIdProvider(CALLBACK, secret) as provider:
        yield Site(provider, **options)


@pytest.fixture(scope="module")
def shared() -> Iterator[Site]:
    with served() as site:
        yield site


@pytest.fixture
def site(shared: Site) -> Site:
    """As if it had just been started."""
    oidc = shared.access.oidc
    assert oidc is not None
    oidc.provider = OidcProvider(oidc.options)
    shared.access.sessions = Sessions()
    shared.provider.behave()
    return shared


def sent_back(browser: AppClient) -> str:
    """Begins a login, and logs in at the provider. Returns the address to which it sends the browser back."""
    begun = browser.get("/api/v1/login/oidc")
    assert begun.status_code == 303, begun.text
    return str(http.get(begun.headers["location"]).headers["location"])


def log_in(browser: AppClient) -> Response:
    return browser.get(sent_back(browser))


def problem(answer: Response) -> str:
    """Returns why the login failed, as the login page shows it."""
    assert answer.status_code == 303
    base, _, found = answer.headers["location"].partition("#/login?problem=")
    assert base == f"{HOST}/", answer.headers["location"]
    assert "sightd-session-8080" not in answer.headers.get("set-cookie", "")
    return found


def test_a_user_of_the_provider_gets_a_session_with_its_role(site: Site) -> None:
    browser = site.browser()
    answer = log_in(browser)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{HOST}/")
    me = browser.get("/api/v1/me").json()
    assert (me["name"], me["role"], me["how"]) == ("ada", "admin", "oidc")
    assert me["login"] == {"token": True, "oidc": True}
    assert browser.post("/api/v1/reload", headers=OWN).status_code == 200


def test_the_login_page_learns_of_the_provider(site: Site) -> None:
    assert site.browser().get("/api/v1/login").json() == {"token": True, "oidc": True}


def test_two_more_routes_are_open(site: Site) -> None:
    found = {route.path for route in open_routes(site.app.routes)}
    assert {path for path in found if "oidc" in path} == {"/api/v1/login/oidc", "/api/v1/login/oidc/callback"}


def test_the_request_to_the_provider_has_all_that_protects_it(site: Site) -> None:
    browser = site.browser()
    answer = browser.get("/api/v1/login/oidc", headers={"X-Forwarded-Host": "evil.example"})
    query = {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}
    assert query["redirect_uri"] == CALLBACK
    assert query["scope"] == "openid profile"
    assert (query["response_type"], query["code_challenge_method"]) == ("code", "S256")
    assert {len(query[name]) for name in ("state", "nonce", "code_challenge")} == {43}
    assert len({query[name] for name in ("state", "nonce", "code_challenge")}) == 3
    assert SECRET not in answer.headers["location"]
    attributes = answer.headers["set-cookie"].lower()
    assert all(part in attributes for part in ("httponly", "samesite=lax", "path=/", f"max-age={LONGEST_LOGIN:.0f}"))


def test_the_address_to_return_to_does_not_come_from_the_host_header(site: Site) -> None:
    answer = site.browser().get("/api/v1/login/oidc", headers={"Host": "evil.example"})
    assert parse_qs(urlsplit(answer.headers["location"]).query)["redirect_uri"] == [CALLBACK]


def test_the_cookie_of_the_login_is_removed_and_that_of_the_session_set(site: Site) -> None:
    browser = site.browser()
    cookies = log_in(browser).headers.get_list("set-cookie")
    session = next(one for one in cookies if one.startswith("sightd-session-8080="))
    assert "httponly" in session.lower()
    assert "samesite=strict" in session.lower()
    assert COOKIE not in browser.cookies


@pytest.mark.parametrize(
    ("claims", "name", "role"),
    [
        ({"groups": ["house"]}, "ada", "view"),
        ({"groups": ["other", "house", "house-admins"]}, "ada", "admin"),
        ({"groups": "house"}, "ada", "view"),
        ({"preferred_username": ""}, "248289761001", "admin"),
        ({"preferred_username": "a\nb"}, "248289761001", "admin"),
        ({"preferred_username": 7, "sub": "s" * 201}, "a user without a name", "admin"),
    ],
)
def test_claims_become_a_name_and_the_highest_role(site: Site, claims: Claims, name: str, role: str) -> None:
    site.provider.claims.update(claims)
    browser = site.browser()
    log_in(browser)
    me = browser.get("/api/v1/me").json()
    assert (me["name"], me["role"]) == (name, role)


@pytest.mark.parametrize(
    "claims",
    [{"groups": []}, {"groups": ["House"]}, {"groups": None}, {"groups": {"house": 1}}, {"groups": [["house"]]}],
)
def test_a_user_without_a_role_gets_no_session(site: Site, claims: Claims) -> None:
    site.provider.claims.update(claims)
    browser = site.browser()
    assert problem(log_in(browser)) == "role"
    assert browser.get("/api/v1/me").status_code == 401


@pytest.mark.parametrize("path", ["realm_access.roles", "https://house.example/roles"])
def test_roles_may_be_inside_objects_or_under_a_name_with_dots(path: str) -> None:
    with served(roles_claim=path, default_role="view") as site:
        site.provider.claims |= {
            "realm_access": {"roles": ["house-admins"]},
            "https://house.example/roles": "house-admins",
        }
        browser = site.browser()
        log_in(browser)
        assert browser.get("/api/v1/me").json()["role"] == "admin"
        site.provider.claims |= {"realm_access": "house-admins", "https://house.example/roles": None}
        browser = site.browser()
        log_in(browser)
        assert browser.get("/api/v1/me").json()["role"] == "view", "the default"


@pytest.mark.parametrize(("secret", "way"), [(None, "basic"), (SECRET, "basic"), (SECRET, "post")])
def test_the_client_identifies_itself_as_configured(secret: str | None, way: str) -> None:
    with served(secret, client_auth=way) as site:
        assert log_in(site.browser()).headers["location"] == f"{HOST}/"


Alter = Callable[[OpenIdProvider, Claims], str]


def changed(**claims: Any) -> Alter:
    """An ID token whose claims are changed; None removes one."""

    def sign(provider: OpenIdProvider, correct: Claims) -> str:
        return provider.signed({name: value for name, value in {**correct, **claims}.items() if value is not None})

    return sign


def moved(**seconds: int) -> Alter:
    """An ID token whose times are moved."""

    def sign(provider: OpenIdProvider, correct: Claims) -> str:
        return provider.signed({**correct, **{name: correct["iat"] + move for name, move in seconds.items()}})

    return sign


def unsigned(_provider: OpenIdProvider, claims: Claims) -> str:
    parts = ({"alg": "none"}, claims)
    return ".".join([*(base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in parts), ""])


def signed_with_the_public_key(provider: OpenIdProvider, claims: Claims) -> str:
    public = provider.key.as_pem(private=False)
    return str(jwt.encode({"alg": "HS256", "kid": provider.key.kid}, claims, OctKey.import_key(public)))


def signed_by_another_with_the_same_kid(provider: OpenIdProvider, claims: Claims) -> str:
    return provider.signed(claims, new_key(str(provider.key.kid)))


def with_its_own_key(provider: OpenIdProvider, claims: Claims) -> str:
    key = new_key("own")
    header = {"alg": "ES256", "jwk": key.as_dict(private=False), "jku": "http://evil.example/keys"}
    return str(jwt.encode(header, claims, key))


def with_another_payload(provider: OpenIdProvider, claims: Claims) -> str:
    head, _, tail = provider.signed(claims).split(".")
    payload = base64.urlsafe_b64encode(json.dumps({**claims, "groups": ["house-admins"], "x": 1}).encode()).decode()
    return f"{head}.{payload.rstrip('=')}.{tail}"


@pytest.mark.parametrize(
    "sign",
    [
        pytest.param(changed(nonce="other"), id="wrong nonce"),
        pytest.param(changed(nonce=None), id="no nonce"),
        pytest.param(changed(aud="other"), id="wrong audience"),
        pytest.param(changed(aud=["other", "others"]), id="wrong audiences"),
        pytest.param(changed(aud=[CLIENT, "other"]), id="several audiences without a party"),
        pytest.param(changed(aud=[CLIENT, "other"], azp="other"), id="authorized for another party"),
        pytest.param(changed(aud=None), id="no audience"),
        pytest.param(changed(iss="http://evil.example"), id="wrong issuer"),
        pytest.param(changed(iss=None), id="no issuer"),
        pytest.param(changed(sub=None), id="no subject"),
        pytest.param(changed(at_hash="AAAAAAAAAAAAAAAAAAAAAA"), id="access token of another"),
        pytest.param(changed(exp=None), id="without expiry"),
        pytest.param(changed(exp="never"), id="expiry is no number"),
        pytest.param(moved(exp=-100), id="expired"),
        pytest.param(moved(iat=200, exp=500), id="of the future"),
        pytest.param(moved(nbf=200), id="not yet valid"),
        pytest.param(unsigned, id="alg none"),
        pytest.param(signed_with_the_public_key, id="HMAC with the public key"),
        pytest.param(signed_by_another_with_the_same_kid, id="another key"),
        pytest.param(with_its_own_key, id="key in the header"),
        pytest.param(with_another_payload, id="changed payload"),
        pytest.param(lambda _provider, _claims: "x.y.z", id="no token"),
        pytest.param(lambda _provider, _claims: "", id="empty"),
        pytest.param(lambda provider, claims: [provider.signed(claims)], id="a list"),
    ],
)
def test_an_id_token_that_is_not_right_in_every_respect_is_refused(site: Site, sign: Alter) -> None:
    site.provider.sign = lambda claims: sign(site.provider, claims)
    browser = site.browser()
    assert problem(log_in(browser)) == "refused"
    assert browser.get("/api/v1/me").status_code == 401


@pytest.mark.parametrize(
    "sign",
    [
        moved(exp=-50),
        moved(iat=50, exp=300),
        moved(nbf=50),
        changed(aud=[CLIENT]),
        changed(aud=[CLIENT, "b"], azp=CLIENT),
    ],
)
def test_clocks_may_differ_and_audiences_be_lists(site: Site, sign: Alter) -> None:
    site.provider.sign = lambda claims: sign(site.provider, claims)
    assert log_in(site.browser()).headers["location"] == f"{HOST}/"


def test_a_provider_may_sign_with_rsa(site: Site) -> None:
    site.provider.key = RSAKey.generate_key(2048, {"kid": "rsa"})
    assert log_in(site.browser()).headers["location"] == f"{HOST}/"


@pytest.mark.parametrize("kid", ["second", "first"])
def test_a_new_key_of_the_provider_is_found_at_once(site: Site, kid: str) -> None:
    log_in(site.browser())
    site.provider.key = new_key(kid)
    assert log_in(site.browser()).headers["location"] == f"{HOST}/"
    assert site.provider.requests.count("GET /keys") == 2
    log_in(site.browser())
    assert site.provider.requests.count("GET /keys") == 2, "keys are kept"


def test_an_answer_of_another_login_is_refused(site: Site) -> None:
    """An attacker who makes the victim's browser open the attacker's answer."""
    victim, attacker = site.browser(), site.browser()
    victim.get("/api/v1/login/oidc")
    assert problem(victim.get(sent_back(attacker))) == "refused"


@pytest.mark.parametrize("change", ["state=x", "state=", ""])
def test_an_answer_with_another_state_is_refused(site: Site, change: str) -> None:
    browser = site.browser()
    address, _, query = sent_back(browser).partition("?")
    kept = [one for one in query.split("&") if not one.startswith("state=")]
    assert problem(browser.get(f"{address}?{'&'.join([*kept, change])}")) == "refused"


def test_an_answer_from_another_issuer_is_refused(site: Site) -> None:
    """RFC 9207: one provider could pass on the code of another."""
    browser = site.browser()
    address, _, _ = sent_back(browser).partition("&iss=")
    assert problem(browser.get(f"{address}&iss=http://evil.example")) == "refused"


def test_a_provider_that_promises_to_name_itself_must_do_so(site: Site) -> None:
    site.provider.metadata["authorization_response_iss_parameter_supported"] = True
    browser = site.browser()
    assert problem(browser.get(sent_back(browser).partition("&iss=")[0])) == "refused"


def test_an_answer_is_accepted_once(site: Site) -> None:
    browser = site.browser()
    back = sent_back(browser)
    cookie = {"Cookie": f"{COOKIE}={browser.cookies[COOKIE]}"}
    assert browser.get(back).headers["location"] == f"{HOST}/"
    assert problem(browser.get(back)) == "expired"
    assert problem(browser.get(back, headers=cookie)) == "expired", "with the cookie of then, too"


def test_a_code_that_was_used_elsewhere_is_refused(site: Site) -> None:
    first, second = site.browser(), site.browser()
    code = parse_qs(urlsplit(sent_back(first)).query)["code"][0]
    first.get(f"{CALLBACK}?code={code}")
    begun = second.get("/api/v1/login/oidc").headers["location"]
    state = parse_qs(urlsplit(begun).query)["state"][0]
    assert problem(second.get(f"{CALLBACK}?code={code}&state={state}")) == "refused"


def test_a_login_that_nobody_began_here_is_refused(site: Site) -> None:
    assert problem(site.browser().get(f"{CALLBACK}?code=x&state=y")) == "expired"
    assert site.provider.requests == [], "and the provider is not asked"


def test_a_login_that_took_too_long_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(site.access.oidc, "_begun", Sessions(LONGEST_LOGIN, LONGEST_LOGIN, clock))
    browser = site.browser()
    back = sent_back(browser)
    clock.now += LONGEST_LOGIN
    assert problem(browser.get(back)) == "expired"


def test_a_user_who_cancels_is_told_so(site: Site) -> None:
    browser = site.browser()
    state = parse_qs(urlsplit(browser.get("/api/v1/login/oidc").headers["location"]).query)["state"][0]
    answer = browser.get(f"{CALLBACK}?error=access_denied&error_description=<script>&state={state}")
    assert problem(answer) == "cancelled"


def test_the_session_ends_after_its_length(site: Site) -> None:
    clock = Clock()
    site.access.sessions = Sessions(clock=clock)
    browser = site.browser()
    log_in(browser)
    for _ in range(11):
        clock.now += 3600
        assert browser.get("/api/v1/me").status_code == 200
    clock.now += 3600
    assert browser.get("/api/v1/me").status_code == 401


def test_logging_out_ends_the_providers_session_too(site: Site) -> None:
    browser = site.browser()
    log_in(browser)
    redirect = browser.post("/api/v1/logout", headers=OWN).json()["redirect"]
    query = parse_qs(urlsplit(redirect).query)
    assert redirect.startswith(f"{site.provider.issuer}/logout?")
    assert query["post_logout_redirect_uri"] == [f"{HOST}/"]
    assert query["client_id"] == [CLIENT]
    assert query["id_token_hint"][0].count(".") == 2
    assert browser.get("/api/v1/me").status_code == 401


def test_a_provider_that_is_away_is_reported_and_asked_again_soon(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.provider.answers["/.well-known/openid-configuration"] = lambda handler: handler.send_error(503)
    assert problem(site.browser().get("/api/v1/login/oidc")) == "unavailable"
    assert problem(site.browser().get("/api/v1/login/oidc")) == "unavailable"
    assert len(site.provider.requests) == 1, "not for each who wants to log in"
    site.provider.answers.clear()
    later = time.monotonic() + 60
    monkeypatch.setattr("sightd.daemon.serve.oidc_provider.time.monotonic", lambda: later)
    assert log_in(site.browser()).headers["location"] == f"{HOST}/"


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/.well-known/openid-configuration", b"<html>"),
        ("/.well-known/openid-configuration", b"[]"),
        ("/.well-known/openid-configuration", b"{}"),
        ("/.well-known/openid-configuration", b" " * (oidc_provider.MOST_BYTES + 1)),
        ("/keys", b"{}"),
        ("/keys", b'{"keys": []}'),
        ("/keys", b'{"keys": [7]}'),
    ],
)
def test_what_is_no_provider_is_unavailable(site: Site, path: str, content: bytes) -> None:
    site.provider.answers[path] = content
    assert problem(site.browser().get("/api/v1/login/oidc")) == "unavailable"


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "http://evil.example"},
        {"token_endpoint": "http://evil.example/token"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"jwks_uri": None},
    ],
)
def test_a_provider_that_names_places_in_clear_text_or_another_issuer_is_not_used(
    site: Site, metadata: dict[str, Any]
) -> None:
    site.provider.metadata |= metadata
    assert problem(site.browser().get("/api/v1/login/oidc")) == "unavailable"


def test_an_answer_that_does_not_end_is_cut_off(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def drip(handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            for _ in range(1000):
                handler.wfile.write(b" ")
                handler.wfile.flush()
                waited.wait(0.02)
        except OSError:
            waited.set()

    waited = threading.Event()
    monkeypatch.setattr(oidc_provider, "TIMEOUT", 0.3)
    site.provider.answers["/.well-known/openid-configuration"] = drip
    assert problem(site.browser().get("/api/v1/login/oidc")) == "unavailable"
    assert waited.wait(10), "the connection was closed"


@pytest.mark.parametrize("content", [b"[]", b"<html>", b"{}", b'{"id_token": 7}', b'{"error": "invalid_client"}'])
def test_what_is_no_answer_to_a_code_is_refused(site: Site, content: bytes) -> None:
    site.provider.answers["/token"] = content
    assert problem(log_in(site.browser())) == "refused"


def test_no_secret_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with served() as site, caplog.at_level("DEBUG"):
        browser = site.browser()
        back = sent_back(browser)
        browser.get(back)
        site.provider.sign = lambda claims: changed(nonce="other")(site.provider, claims)
        log_in(site.browser())
    assert any("ada (admin) has logged in at the OpenID provider from 192.0.2." in line for line in caplog.messages)
    assert any("login at the OpenID provider from 192.0.2." in line and "nonce" in line for line in caplog.messages)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("sightd")]
    code = parse_qs(urlsplit(back).query)["code"][0]
    secrets = (SECRET, code, browser.cookies["sightd-session-8080"])
    assert not [line for line in ours for secret in secrets if secret in line]


def test_a_daemon_without_a_provider_has_no_such_route() -> None:
    access = Access(AccessOptions.model_validate({"tokens": {"a": {"role": "view", "token": TOKENS["view"]}}}))
    app = create_app(View(), Metrics(CollectorRegistry(), "1").exposition, 1, access)
    assert AppClient(app).get("/api/v1/login/oidc").status_code == 401
