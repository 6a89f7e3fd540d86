"""All cameras at once: true states, and streams only where somebody looks."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.support.browser import Browser, Visit
from tests.support.console import CAMERAS, ConsoleServer

ALL = {one.name for one in CAMERAS}


def watched(visit: Visit, server: ConsoleServer, names: set[str]) -> None:
    """Waits until the server streams these cameras and no others."""
    visit.eventually(lambda: server.daemon.watched == names, f"{names} are watched")


def test_the_wall_shows_each_camera_with_its_state_and_why(browser: Browser, server: ConsoleServer) -> None:
    with browser.visit(server.url()) as visit:
        visit.page.get_by_role("heading", name="Live", exact=True).wait_for()
        assert visit.page.title() == "Live · sightd"
        tiles = visit.page.locator(".tile")
        assert tiles.locator("h2").all_inner_texts() == ["Gate <north>", "Yard", "Front door"]
        assert tiles.locator(".badge").all_inner_texts() == ["Live", "Analysis paused", "Late", "Offline"]
        visit.page.get_by_text("the camera refuses the password (401)").wait_for()
        visit.page.get_by_text("3 cameras · 1 live").wait_for()
        tiles.locator(".rate").nth(2).wait_for()
        watched(visit, server, ALL)
        visit.picture("wall")
        visit.require_accessible()
        visit.picture("wall-dark")


def test_an_empty_wall_leads_to_where_cameras_are_added(browser: Browser, server: ConsoleServer) -> None:
    nothing = httpx.get(server.url("/api/v1/status")).json() | {"cameras": []}
    with browser.visit(server.url("/#/nothing"), fresh=True) as visit:
        visit.page.route("**/api/v1/status", lambda route: route.fulfill(json=nothing))
        visit.page.goto(server.url("/#/"))
        visit.page.get_by_text("No camera yet").wait_for()
        visit.page.get_by_role("link", name="Add a camera").click()
        visit.page.wait_for_url("**/#/settings/cameras")


def test_only_cameras_in_view_stream_and_none_of_a_page_that_was_left(browser: Browser, server: ConsoleServer) -> None:
    with browser.visit(server.url(), phone=True) as visit:
        visit.page.locator(".tile").nth(2).wait_for()
        visit.page.evaluate("document.querySelector('.wall').lastChild.style.marginTop = '2000px'")
        watched(visit, server, {"gate", "yard"})
        visit.page.evaluate("document.querySelector('.wall').lastChild.scrollIntoView({block: 'end'})")
        watched(visit, server, {"door"})
        visit.page.goto(server.url("/#/nothing"))
        watched(visit, server, set())


def test_a_hidden_tab_costs_nothing(browser: Browser, server: ConsoleServer) -> None:
    with browser.visit(server.url()) as visit:
        watched(visit, server, ALL)
        visit.hide()
        watched(visit, server, set())
        asked: list[str] = []
        visit.page.on("request", lambda request: asked.append(request.url))
        visit.page.wait_for_timeout(2500)  # longer than between two polls
        assert not asked
        visit.show()
        watched(visit, server, ALL)


@pytest.mark.slow
def test_after_a_restart_of_the_daemon_the_picture_comes_back(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    with ConsoleServer(tmp_path / "first", CAMERAS[:1]) as first:
        port = first.server.port
        with browser.visit(first.url()) as visit:
            visit.page.locator(".tile .rate").wait_for()
            first.close()
            visit.page.locator(".tile .badge", has_text="Not reachable").wait_for()
            with ConsoleServer(tmp_path / "second", CAMERAS[:1], port=port) as second:
                watched(visit, second, {"gate"})
                visit.page.locator(".tile .badge", has_text="Live").wait_for()
            visit.expect_errors("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE", "ERR_CONNECTION_RESET")
