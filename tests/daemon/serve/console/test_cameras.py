"""Cameras are added with a picture as proof, edited, ordered, paused and removed, without touching the file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sightd.daemon.onvif.discovery import FoundDevice
from sightd.daemon.serve.http import routes_finding
from tests.support.administration import CANARY, Site
from tests.support.browser import Browser, Visit
from tests.support.console import ConsoleServer, camera_report
from tests.support.onvif_camera import OnvifCamera

PASSWORD = "Kanari3nvogel ${x}/@"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def console(site: Site, tmp_path: Path) -> Iterator[ConsoleServer]:
    services: dict[str, Any] = {
        "administration": site.administration,
        "ask_reload": site.reloading.ask,
        "configured": lambda: site.reloading.loaded.config.cameras,
    }
    with ConsoleServer(tmp_path, [camera_report("front", "Front")], **services) as running:
        yield running


@pytest.fixture
def page(browser: Browser, console: ConsoleServer) -> Iterator[Visit]:
    with browser.visit(console.url("/#/settings/cameras")) as visit:
        visit.page.locator(".camera-row").first.wait_for()
        yield visit


def rows(visit: Visit) -> list[str]:
    return visit.page.locator(".camera-row h2").all_inner_texts()


def file(site: Site) -> str:
    return site.path.read_text()


def test_cameras_are_listed_in_order_without_their_passwords(page: Visit) -> None:
    assert rows(page) == ["Front", "back"]
    assert "127.0.0.1:1/x" in page.page.locator(".camera-row").nth(1).inner_text()
    assert page.page.locator(".camera-row").nth(1).get_by_text("Not in use").is_visible()
    assert CANARY not in page.page.content()
    page.picture("cameras")
    page.require_accessible()


def test_a_camera_is_added_with_a_test_picture(page: Visit, site: Site) -> None:
    page.page.get_by_role("button", name="Add a camera").click()
    dialog = page.page.get_by_role("dialog")
    dialog.get_by_label("Address").fill("testpattern://")
    dialog.get_by_label("Title").fill("Übungs-Platz")
    dialog.get_by_role("button", name="Test", exact=True).click()
    dialog.get_by_role("img", name="Test picture of the camera").wait_for()
    assert "1280 × 720" in dialog.locator("figcaption").inner_text()
    assert dialog.get_by_label("Name").input_value() == "ubungs-platz"
    page.picture("cameras-add")
    page.require_accessible()
    dialog.get_by_role("button", name="Add a camera").click()
    page.eventually(lambda: rows(page) == ["Front", "back", "Übungs-Platz"])
    added = site.reloading.loaded.config.cameras["ubungs-platz"]
    assert (added.source.get_secret_value(), added.title) == ("testpattern://", "Übungs-Platz")
    assert "# the door" in file(site), "comments stay"


def test_a_camera_is_found_in_the_network_and_can_be_moved(
    browser: Browser, console: ConsoleServer, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with OnvifCamera(password=PASSWORD, stream="rtsp://127.0.0.1:9/cam") as camera:
        found = [FoundDevice("127.0.0.1", camera.address, "Yard dome", "D4", "")]
        monkeypatch.setattr(routes_finding, "discover", lambda _seconds, _interfaces: found)
        with browser.visit(console.url("/#/settings/cameras")) as page:
            page.page.get_by_role("button", name="Search the network").click()
            dialog = page.page.get_by_role("dialog")
            dialog.get_by_text("Already added: back").wait_for()
            page.picture("cameras-found")
            dialog.get_by_role("button", name="Yard dome").click()
            dialog.get_by_label("User").fill("admin")
            dialog.get_by_label("Password").fill(PASSWORD)
            dialog.get_by_role("button", name="Test", exact=True).click()
            dialog.get_by_text("no connection").wait_for()
            dialog.get_by_label("main stream").check()
            dialog.get_by_text("no connection").wait_for()
            page.picture("cameras-onvif")
            page.require_accessible()
            dialog.get_by_role("button", name="Add without a picture").click()
            page.eventually(lambda: "Yard dome" in rows(page))
            assert CANARY not in page.page.content()
    added = site.reloading.loaded.config.cameras["yard-dome"]
    assert added.source.get_secret_value() == (
        "rtsp://admin:Kanari3nvogel%20%24%7Bx%7D%2F%40@127.0.0.1:9/cam?profile=main"
    )
    assert added.onvif is not None
    assert (added.onvif.address, added.onvif.profile) == (camera.address, "main")
    assert added.onvif.password.get_secret_value() == PASSWORD


def test_why_an_address_shows_nothing_is_said(page: Visit) -> None:
    page.page.get_by_role("button", name="Add a camera").click()
    dialog = page.page.get_by_role("dialog")
    assert dialog.get_by_role("button", name="Add without a picture").is_disabled()
    dialog.get_by_label("Address").fill("rtsp://127.0.0.1:9/stream")
    dialog.get_by_role("button", name="Test", exact=True).click()
    dialog.get_by_text("check address, port and power").wait_for()
    page.picture("cameras-refused")
    dialog.get_by_label("Name").fill("Not a name")
    assert dialog.get_by_text("Lower-case letters").first.is_visible()
    assert dialog.get_by_role("button", name="Add without a picture").is_disabled()


def test_what_the_configuration_refuses_is_said_in_the_dialog(page: Visit, site: Site) -> None:
    page.page.get_by_role("button", name="Add a camera").click()
    dialog = page.page.get_by_role("dialog")
    dialog.get_by_label("Address").fill("rtsp://127.0.0.1:1/a b")
    dialog.get_by_role("button", name="Add without a picture").click()
    dialog.get_by_role("alert").wait_for()
    assert "space" in dialog.get_by_role("alert").inner_text()
    page.expect_errors("409")
    assert "a b" not in file(site)


def test_a_camera_gets_another_title_and_is_switched_on(page: Visit, site: Site) -> None:
    page.page.get_by_role("button", name="Edit back").click()
    dialog = page.page.get_by_role("dialog")
    dialog.get_by_label("Title").fill("Door")
    dialog.get_by_text("In use").click()
    page.picture("cameras-edit")
    page.require_accessible()
    dialog.get_by_role("button", name="Save").click()
    page.eventually(lambda: rows(page) == ["Front", "Door"])
    back = site.reloading.loaded.config.cameras["back"]
    assert (back.title, back.enabled) == ("Door", True)
    assert CANARY in back.source.get_secret_value(), "an address that is not replaced stays, with its password"


def test_the_order_is_changed_by_keyboard_and_by_dragging(page: Visit, site: Site) -> None:
    page.page.locator(".grip").first.press("ArrowDown")
    page.eventually(lambda: list(site.reloading.loaded.config.cameras) == ["back", "front"])
    assert rows(page) == ["back", "Front"]
    assert page.page.evaluate("document.activeElement.dataset.camera") == "front"
    assert page.page.get_by_text("front is now number 2.").count() == 1
    page.page.locator(".grip").nth(1).drag_to(page.page.locator(".camera-row").nth(0))
    page.eventually(lambda: list(site.reloading.loaded.config.cameras) == ["front", "back"])
    assert rows(page) == ["Front", "back"]


def test_a_camera_is_paused_resumed_and_removed(page: Visit, site: Site) -> None:
    page.page.get_by_role("button", name="Pause the analysis of Front").click()
    page.page.get_by_role("button", name="Resume the analysis of Front").click()
    page.page.get_by_role("button", name="Pause the analysis of Front").wait_for()
    page.page.get_by_role("button", name="Remove back").click()
    dialog = page.page.get_by_role("dialog")
    dialog.get_by_role("button", name="Cancel").click()
    assert rows(page) == ["Front", "back"]
    page.page.get_by_role("button", name="Remove back").click()
    dialog.get_by_role("button", name="Remove", exact=True).click()
    dialog.wait_for(state="detached")
    page.eventually(lambda: "back:" not in file(site) or rows(page) == ["Front", "back"])


def test_on_a_phone_and_in_german_everything_fits(browser: Browser, console: ConsoleServer) -> None:
    with browser.visit(console.url("/#/settings/cameras"), phone=True, language="de", theme="dark") as page:
        page.page.get_by_role("heading", name="Kameras").wait_for()
        page.page.locator(".camera-row").first.wait_for()
        page.picture("cameras-phone")
        page.page.get_by_role("button", name="Kamera hinzufügen").click()
        page.page.get_by_label("Passwort").wait_for()
        page.picture("cameras-add-phone")
        assert page.page.evaluate("document.documentElement.scrollWidth") <= 390
        page.require_accessible()
