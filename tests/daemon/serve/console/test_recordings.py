"""A camera's day: looked through with previews, played from any time, saved and protected."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from sightd.daemon.config.model import Access as AccessOptions
from sightd.daemon.recording.index import ClipFilter
from sightd.daemon.serve.auth import Access
from tests.support.browser import Browser, Visit
from tests.support.console import ConsoleServer
from tests.support.recorded import LENGTH, RecordedConsole, history

ROLES = ("view", "operate", "admin")


def as_role(role: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {role * 16}"}


class Past:
    def __init__(self, server: RecordedConsole) -> None:
        self.server = server
        history(server)
        segments = server.reader.clips(ClipFilter(kind="segment"), 100)
        self.begin = int(min(one.begin for one in segments))

    def url(self, at: float | None = None) -> str:
        return self.server.url("/#/recordings/gate" + ("" if at is None else f"?at={int(at)}"))


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    tokens = {role: {"token": role * 16, "role": role} for role in ROLES}
    access = Access(AccessOptions.model_validate({"tokens": tokens}))
    with RecordedConsole(tmp_path_factory.mktemp("recordings"), access) as server:
        yield Past(server)


def cursor(visit: Visit) -> int:
    return int(visit.page.get_by_role("slider").get_attribute("aria-valuenow") or 0)


def shows_picture(visit: Visit) -> bool:
    image = visit.page.locator(".screen img")
    return image.count() == 1 and bool(image.evaluate("one => one.naturalWidth === 320"))


def test_a_day_is_looked_through_by_keyboard_and_mouse(browser: Browser, past: Past) -> None:
    with browser.visit(past.url(past.begin + 100), headers=as_role("view")) as visit:
        visit.eventually(lambda: shows_picture(visit))
        visit.page.get_by_role("radio", name="10 minutes").check()
        slider = visit.page.get_by_role("slider")
        before = cursor(visit)
        slider.press("ArrowRight")
        visit.eventually(lambda: cursor(visit) == before + 3)
        slider.press("Home")
        visit.eventually(lambda: cursor(visit) == past.begin or cursor(visit) % 86400 == 0, "the first recorded time")
        visit.page.get_by_role("button", name="Next event").click()
        visit.eventually(lambda: f"at={cursor(visit)}" in visit.page.url, "the address follows")
        box = slider.bounding_box()
        assert box is not None
        visit.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
        visit.page.locator(".timeline .hover").wait_for()
        visit.picture("recordings")
        visit.require_accessible()
        visit.picture("recordings-dark")
        visit.page.mouse.move(0, 0)


def test_the_recording_plays_from_the_chosen_time_and_goes_on_after_a_gap(browser: Browser, past: Past) -> None:
    end = past.begin + 5 * LENGTH - 4
    with browser.visit(past.url(end), headers=as_role("view")) as visit:
        visit.eventually(lambda: shows_picture(visit))
        visit.page.get_by_role("radio", name="4×").check()
        visit.page.get_by_role("slider").press("Enter")
        visit.page.get_by_role("button", name="Pause").wait_for()
        visit.eventually(lambda: cursor(visit) >= past.begin + 7 * LENGTH, "the gap is skipped")
        visit.eventually(lambda: bool(visit.page.locator(".screen video").evaluate("one => one.currentTime > 8")))
        visit.picture("recordings-playing")
        visit.page.get_by_role("button", name="Pause").click()
        visit.eventually(lambda: shows_picture(visit))


def test_a_part_is_saved_and_protected_by_those_who_may(browser: Browser, past: Past) -> None:
    at = past.begin + 70
    with browser.visit(past.url(at), headers=as_role("operate")) as visit:
        visit.page.get_by_role("button", name="From here").click()
        visit.page.get_by_role("slider").press("End")
        visit.page.get_by_role("button", name="To here").click()
        visit.page.get_by_role("button", name="Protect", exact=True).click()
        visit.page.get_by_text(re.compile(r"segments are protected")).wait_for()
        protected = [one.begin for one in past.server.reader.clips(ClipFilter(kind="segment"), 100) if one.protected]
        assert min(protected) == past.begin + 60
        href = visit.page.get_by_role("link", name="Download").get_attribute("href")
        start = visit.page.evaluate("async (path) => (await (await fetch(path)).text()).slice(4, 8)", href)
        assert start == "ftyp", "downloads lack the headers of tests"


def test_without_recordings_the_page_says_what_to_do(browser: Browser, server: ConsoleServer) -> None:
    with browser.visit(server.url("/#/recordings"), phone=True) as visit:
        visit.page.get_by_text("Segments are recorded if").wait_for()
        visit.require_accessible()
        visit.expect_errors("404")


def test_on_a_phone_the_line_of_the_day_fits(browser: Browser, past: Past) -> None:
    with browser.visit(past.url(), phone=True, language="de", headers=as_role("view")) as visit:
        visit.eventually(lambda: shows_picture(visit))
        visit.picture("recordings-phone")
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
        assert visit.page.get_by_role("button", name="Schützen").count() == 0
        assert abs(cursor(visit) - time.time()) < 86400
