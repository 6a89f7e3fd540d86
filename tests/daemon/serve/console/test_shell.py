"""The frame around all pages: login, navigation, languages, themes, keyboard and phones."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sightd.daemon.config.model import Access as AccessOptions
from sightd.daemon.serve.auth import Access
from tests.support.browser import Browser
from tests.support.console import ConsoleServer

TOKEN = "a-token-of-thirty-two-characters"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleServer]:
    """Requires a token; without cameras."""
    tokens = {"tokens": {"owner": {"role": "admin", "token": TOKEN}}}
    access = Access(AccessOptions.model_validate(tokens))
    with ConsoleServer(tmp_path_factory.mktemp("guarded"), [], access) as running:
        yield running


def test_an_address_without_a_page_says_so(browser: Browser, server: ConsoleServer) -> None:
    with browser.visit(server.url("/#/nothing/here")) as visit:
        visit.page.get_by_text("The console has no page /nothing/here.").wait_for()
        visit.require_accessible()


def test_who_has_no_token_sees_the_login_and_gets_in_with_one(browser: Browser, guarded: ConsoleServer) -> None:
    with browser.visit(guarded.url("/#/login?problem=role")) as visit:
        visit.page.get_by_role("alert").get_by_text("have no role here").wait_for()
        token = visit.page.get_by_label("Access token")
        token.wait_for()
        visit.picture("login")
        visit.require_accessible()
        token.fill("a-wrong-one")
        token.press("Enter")
        visit.page.get_by_role("alert").get_by_text("unknown").wait_for()
        token.fill(TOKEN)
        visit.page.get_by_role("button", name="Log in").click()
        visit.page.get_by_text("No camera yet").wait_for()
        visit.page.reload()
        visit.page.get_by_text("No camera yet").wait_for()
        visit.page.get_by_role("button", name="Log out").click()
        token.wait_for()
        visit.expect_errors("401")


def test_language_and_theme_are_kept(browser: Browser, guarded: ConsoleServer) -> None:
    with browser.visit(guarded.url(), language="de", headers={"Authorization": f"Bearer {TOKEN}"}) as visit:
        visit.page.get_by_text("Noch keine Kamera").wait_for()
        assert visit.page.locator("html").get_attribute("lang") == "de"
        visit.page.get_by_label("Dunkel").check(force=True)
        visit.page.get_by_label("Sprache").select_option("en")
        visit.page.get_by_text("No camera yet").wait_for()
        visit.page.reload()
        visit.page.get_by_text("No camera yet").wait_for()
        assert visit.page.locator("html").get_attribute("data-theme") == "dark"


def test_the_keyboard_skips_the_navigation(browser: Browser, guarded: ConsoleServer) -> None:
    with browser.visit(guarded.url(), headers={"Authorization": f"Bearer {TOKEN}"}) as visit:
        visit.page.get_by_text("No camera yet").wait_for()
        visit.page.keyboard.press("Tab")
        assert visit.page.evaluate("document.activeElement.textContent") == "Skip to the content"
        visit.page.keyboard.press("Enter")
        assert visit.page.evaluate("document.activeElement.id") == "main"


def test_on_a_phone_the_navigation_opens_and_closes(browser: Browser, guarded: ConsoleServer) -> None:
    with browser.visit(guarded.url(), phone=True, headers={"Authorization": f"Bearer {TOKEN}"}) as visit:
        menu = visit.page.get_by_role("button", name="Menu")
        menu.wait_for()
        entry = visit.page.get_by_role("link", name="Live", exact=True)
        assert not entry.is_visible()
        menu.click()
        entry.wait_for()
        visit.picture("phone-menu")
        visit.page.keyboard.press("Escape")
        entry.wait_for(state="hidden")
