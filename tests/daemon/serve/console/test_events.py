"""What happened: as it happens, filtered by the address, counted per hour; one event with its pictures and its clip."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from sightd.daemon.config.model import Access as AccessOptions
from sightd.daemon.recording.index import ClipFilter
from sightd.daemon.serve.auth import Access
from tests.support.browser import Browser, Visit
from tests.support.recorded import RecordedConsole, history

ROLES = ("view", "operate", "admin")


def as_role(role: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {role * 16}"}


class Past:
    def __init__(self, server: RecordedConsole) -> None:
        self.server, self.ids = server, history(server)

    def url(self, query: str = "") -> str:
        return self.server.url(f"/#/events{query}")


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    tokens = {role: {"token": role * 16, "role": role} for role in ROLES}
    access = Access(AccessOptions.model_validate({"tokens": tokens}))
    with RecordedConsole(tmp_path_factory.mktemp("events"), access) as server:
        yield Past(server)


def kinds(visit: Visit) -> list[str]:
    return visit.page.locator(".event .what strong").all_inner_texts()


def test_events_are_listed_as_they_happen_and_counted(browser: Browser, past: Past) -> None:
    with browser.visit(past.url(), headers=as_role("view")) as visit:
        visit.eventually(lambda: "Zone entered" in kinds(visit))
        visit.page.locator(".bars rect").first.wait_for()
        past.server.happen("camera.late", time.time(), age=2.5)
        visit.eventually(lambda: kinds(visit)[0] == "Frames arrive late", "without a reload")
        visit.page.get_by_text("As a table").click()
        total = visit.page.locator(".counted strong")
        visit.eventually(lambda: sum(map(int, total.all_inner_texts())) == len(kinds(visit)))
        visit.picture("events")
        visit.require_accessible()
        visit.picture("events-dark")


def test_filters_are_kept_in_the_address(browser: Browser, past: Past) -> None:
    with browser.visit(past.url("?kind=zone.*&person=Ann"), headers=as_role("view")) as visit:
        visit.eventually(lambda: kinds(visit) == ["Zone left", "Zone entered"])
        visit.page.get_by_label("Phase").select_option("began")
        visit.eventually(lambda: kinds(visit) == ["Zone entered"])
        assert "phase=began" in visit.page.url
        visit.page.get_by_role("button", name="Reset").click()
        visit.page.get_by_label("Text in the details").fill("kerb")
        visit.eventually(lambda: kinds(visit) == ["Line crossed"])
        visit.page.get_by_label("Text in the details").fill("nothing like that")
        visit.page.get_by_text("No event matches these filters.").wait_for()
        hrefs = [one.get_attribute("href") or "" for one in visit.page.locator("a[download]").all()]
        assert all("text=nothing" in href for href in hrefs)
        assert len(hrefs) == 2


def test_an_event_is_shown_with_pictures_clip_and_beginning(browser: Browser, past: Past) -> None:
    with browser.visit(past.url(f"?event={past.ids['left']}"), headers=as_role("view")) as visit:
        dialog = visit.page.get_by_role("dialog")
        picture = dialog.get_by_role("img", name="Picture of the event")
        visit.eventually(lambda: bool(picture.evaluate("one => one.naturalWidth === 640")))
        visit.picture("event")
        visit.require_accessible()
        dialog.get_by_role("radio", name="Without boxes").check()
        visit.eventually(lambda: (picture.get_attribute("src") or "").endswith("clean.jpg"))
        dialog.get_by_role("radio", name="Clip").check()
        visit.eventually(lambda: bool(dialog.locator("video").evaluate("one => one.currentTime > 0")))
        visit.picture("event-clip")
        assert dialog.get_by_role("button", name="Protect").count() == 0
        assert f"/recordings/gate?at={int(time.time() / 1e5)}" in (
            dialog.get_by_role("link", name="Recording of that time").get_attribute("href") or ""
        )
        dialog.get_by_role("button", name="Beginning").click()
        dialog.get_by_role("heading", name="Zone entered").wait_for()
        assert f"event={past.ids['entered']}" in visit.page.url
        visit.page.keyboard.press("Escape")
        dialog.wait_for(state="hidden")
        assert "event=" not in visit.page.url


def test_clips_are_protected_and_deleted_by_those_who_may(browser: Browser, past: Past) -> None:
    number = past.server.happen("zone.crowded", time.time() - 900, zone="yard", clip=True)
    (clip,) = [one for one in past.server.reader.clips(ClipFilter(), 10) if number in one.events]
    with browser.visit(past.url(f"?event={number}"), headers=as_role("admin")) as visit:
        dialog = visit.page.get_by_role("dialog", name="Zone crowded")
        dialog.get_by_role("button", name="Protect").click()
        dialog.get_by_role("button", name="Unprotect").click()
        dialog.get_by_role("button", name="Delete the clip").click()
        visit.page.get_by_role("dialog", name="Delete the clip").get_by_role("button", name="Remove").click()
        visit.eventually(lambda: past.server.reader.clip(clip.id) is None)
        visit.page.get_by_text("The clip was deleted.").wait_for()
        visit.expect_errors("404")


def test_on_a_phone_events_fit(browser: Browser, past: Past) -> None:
    with browser.visit(past.url(), phone=True, language="de", headers=as_role("view")) as visit:
        visit.eventually(lambda: "Zone betreten" in kinds(visit))
        visit.picture("events-phone")
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
