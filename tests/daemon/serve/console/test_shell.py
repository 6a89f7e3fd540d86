"""The frame around all pages: navigation, languages, themes, keyboard and phones."""

from __future__ import annotations

from tests.support.browser import Browser
from tests.support.console import ConsoleServer


def test_the_console_opens_with_the_cameras(browser: Browser, server: ConsoleServer) -> None:
    with browser.visit(server.url()) as visit:
        visit.page.get_by_role("heading", name="Live", exact=True).wait_for()
        visit.page.get_by_text("Gate <north>").wait_for()
        assert visit.page.title() == "Live · sightd"
        visit.picture("shell-light")
        visit.require_accessible()
        visit.picture("shell-dark")


def test_an_address_without_a_page_says_so(browser: Browser, server: ConsoleServer) -> None:
    with browser.visit(server.url("/#/nothing/here")) as visit:
        visit.page.get_by_text("The console has no page /nothing/here.").wait_for()
        visit.page.get_by_role("link", name="To the cameras").click()
        visit.page.get_by_role("heading", name="Live", exact=True).wait_for()
