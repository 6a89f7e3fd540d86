"""Login and logout, by token and at an OpenID provider, and the page of tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from sightd.daemon.config.model import Access as AccessOptions
from sightd.daemon.serve.auth import Access
from sightd.daemon.serve.stored_tokens import StoredTokens
from tests.daemon.common.test_streams import free_port
from tests.support.browser import Browser
from tests.support.console import ConsoleServer
from tests.support.openid_provider import OpenIdProvider

TOKENS = {role: f"a-token-of-somebody-to-{role}" for role in ("view", "admin")}
AS = {role: {"Authorization": f"Bearer {token}"} for role, token in TOKENS.items()}


class Site:
    """A console without cameras, with tokens and a provider, which is at another site: "localhost"."""

    def __init__(self, folder: Path, provider: OpenIdProvider, port: int) -> None:
        tokens = {role: {"role": role, "token": token} for role, token in TOKENS.items()}
        oidc = provider.options(f"http://127.0.0.1:{port}")
        options = AccessOptions.model_validate({"tokens": tokens, "oidc": oidc})
        self.provider = provider
        self.server = ConsoleServer(folder, [], Access(options, stored=StoredTokens(folder / "tokens.json")), port)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    port = free_port()
    with OpenIdProvider(f"http://127.0.0.1:{port}/api/v1/login/oidc/callback") as provider:
        site = Site(tmp_path_factory.mktemp("users"), provider, port)
        with site.server:
            yield site


def create(page: Page, name: str, role: str) -> str:
    """Creates a token on the page, and returns it."""
    page.get_by_role("button", name="New token").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill(name)
    dialog.get_by_label("Role").select_option(role)
    dialog.get_by_role("button", name="New token").click()
    shown = page.get_by_role("dialog").get_by_label("Token", exact=True)
    shown.wait_for()
    return shown.input_value()


def test_a_token_is_created_used_and_revoked(browser: Browser, site: Site) -> None:
    with browser.visit(site.server.url("/#/settings/users"), headers=AS["admin"]) as visit:
        token = create(visit.page, "wall", "view")
        visit.picture("users-created")
        visit.page.get_by_role("dialog").get_by_role("button", name="Close").last.click()
        row = visit.page.get_by_role("row", name=re.compile("wall"))
        expect(row).to_contain_text("Not since the start")
        visit.picture("users")
        visit.require_accessible()
        visit.picture("users-dark")
        with browser.visit(site.server.url()) as other:
            other.page.get_by_label("Access token").fill(token)
            other.page.get_by_role("button", name="Log in").click()
            other.page.get_by_text("No camera yet").wait_for()
            row.get_by_role("button", name="Revoke wall").click()
            visit.page.get_by_role("dialog").get_by_role("button", name="Revoke the token").click()
            expect(row).to_have_count(0)
            other.page.reload()
            other.page.get_by_label("Access token").wait_for()
            other.expect_errors("401")


def test_tokens_of_the_configuration_cannot_be_revoked_here(browser: Browser, site: Site) -> None:
    with browser.visit(site.server.url("/#/settings/users"), headers=AS["admin"]) as visit:
        row = visit.page.get_by_role("row", name=re.compile("^view"))
        expect(row).to_contain_text("In the configuration")
        expect(row.get_by_role("button")).to_have_count(0)


def test_a_name_that_is_taken_is_reported_in_the_dialog(browser: Browser, site: Site) -> None:
    with browser.visit(site.server.url("/#/settings/users"), headers=AS["admin"]) as visit:
        visit.page.get_by_role("button", name="New token").click()
        dialog = visit.page.get_by_role("dialog")
        dialog.get_by_label("Name").fill("admin")
        dialog.get_by_label("Name").press("Enter")
        dialog.get_by_role("alert").get_by_text("choose another name").wait_for()
        visit.require_accessible()
        visit.expect_errors("409")


def test_who_may_only_view_sees_no_tokens(browser: Browser, site: Site) -> None:
    with browser.visit(site.server.url("/#/settings/users"), headers=AS["view"]) as visit:
        visit.page.get_by_role("alert").get_by_text('This requires the role "admin"').wait_for()
        expect(visit.page.get_by_role("button", name="New token")).to_have_count(0)
        expect(visit.page.get_by_role("link", name="view")).to_have_count(0)
        visit.expect_errors("403")


def test_users_log_in_at_the_provider_and_out_again(browser: Browser, site: Site) -> None:
    site.provider.behave()
    site.provider.asks = True
    with browser.visit(site.server.url()) as visit:
        page = visit.page
        page.get_by_role("link", name="Log in with single sign-on").wait_for()
        visit.picture("login-oidc")
        visit.require_accessible()
        page.get_by_role("link", name="Log in with single sign-on").click()
        page.get_by_role("link", name="Log in as Ada").click()
        page.get_by_text("No camera yet").wait_for()
        page.get_by_role("link", name="ada").click()
        page.get_by_text("You are logged in at the provider as ada.").wait_for()
        page.get_by_role("button", name="Log out").click()
        page.get_by_role("link", name="Log in with single sign-on").wait_for()
        assert any(one.startswith("GET /logout") for one in site.provider.requests)
        cookies = {one["name"] for one in page.context.cookies()}
        assert not [name for name in cookies if name.startswith("sightd-")]
        visit.expect_errors("401", "favicon.ico")


@pytest.mark.parametrize(("language", "told"), [("en", "have no role here"), ("de", "haben hier keine Rolle")])
def test_the_login_page_says_why_the_provider_did_not_help(
    browser: Browser, site: Site, language: str, told: str
) -> None:
    site.provider.behave()
    site.provider.claims["groups"] = []
    with browser.visit(site.server.url(), language=language) as visit:
        visit.page.locator("a[href='api/v1/login/oidc']").click()
        visit.page.get_by_role("alert").get_by_text(told).wait_for()
        visit.picture(f"login-refused-{language}")
        visit.require_accessible()
        visit.page.locator("input[name=token]").fill(TOKENS["view"])
        visit.page.locator("input[name=token]").press("Enter")
        visit.page.locator("h1").wait_for()
        visit.page.wait_for_url(re.compile(r"#/$"))
        visit.expect_errors("401", "favicon.ico")


def test_an_address_cannot_make_the_login_page_say_something_else(browser: Browser, site: Site) -> None:
    with browser.visit(site.server.url("/#/login?problem=Call%20our%20hotline")) as visit:
        visit.page.get_by_role("alert").get_by_text("is not acceptable").wait_for()
        assert "hotline" not in visit.page.locator("body").inner_text()
        visit.expect_errors("401")


def test_the_page_fits_a_phone_in_german(browser: Browser, site: Site) -> None:
    headers = AS["admin"]
    with browser.visit(site.server.url("/#/settings/users"), language="de", phone=True, headers=headers) as visit:
        visit.page.get_by_role("heading", name="Benutzer und Token").wait_for()
        visit.page.get_by_text("jetzt").wait_for()  # when our own token was used
        visit.picture("users-phone-de")
        wide = visit.page.evaluate("document.documentElement.scrollWidth > innerWidth")
        assert not wide
