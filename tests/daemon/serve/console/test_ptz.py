"""A camera is moved from its page while a button is held, by pointer and keyboard, and never longer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sightd.daemon.config.model import Access as Options
from sightd.daemon.config.model import Config
from sightd.daemon.ptz.manager import PtzManager
from sightd.daemon.serve.auth import Access
from tests.support.browser import Browser, Visit
from tests.support.console import ConsoleServer, camera_report
from tests.support.onvif_camera import OnvifCamera

TOKENS = {role: {"role": role, "token": f"token-of-the-role-{role}"} for role in ("view", "operate", "admin")}


@pytest.fixture
def camera() -> Iterator[OnvifCamera]:
    with OnvifCamera() as camera:
        yield camera
    assert camera.wrong == []


@pytest.fixture
def console(camera: OnvifCamera, tmp_path: Path) -> Iterator[ConsoleServer]:
    onvif = {"address": f"127.0.0.1:{camera.port}", "username": camera.username, "password": camera.password}
    gate = {"source": "testpattern://", "onvif": onvif, "ptz": {"follow": {"classes": ["person"]}}}
    manager = PtzManager()
    manager.apply(Config.model_validate({"cameras": {"gate": gate}}))
    access = Access(Options.model_validate({"tokens": TOKENS}))
    reports = [replace(camera_report("gate", "Gate"), ptz=True), camera_report("yard", "Yard")]
    with ConsoleServer(tmp_path, reports, access, ptz=manager) as running:
        yield running
    manager.close()


def visited(browser: Browser, console: ConsoleServer, role: str = "admin", camera: str = "gate") -> Iterator[Visit]:
    headers = {"Authorization": f"Bearer token-of-the-role-{role}"}
    with browser.visit(console.url(f"/#/camera/{camera}"), headers=headers) as visit:
        visit.page.get_by_role("heading", name="Recent events").wait_for()
        yield visit


@pytest.fixture
def page(browser: Browser, console: ConsoleServer) -> Iterator[Visit]:
    for visit in visited(browser, console):
        visit.page.locator(".pad").wait_for()
        yield visit


def test_the_camera_moves_as_long_as_a_button_is_held(page: Visit, camera: OnvifCamera) -> None:
    page.picture("camera-ptz")
    page.require_accessible()
    button = page.page.get_by_role("button", name="Up and right")
    button.hover()
    page.page.mouse.down()
    page.eventually(lambda: camera.moving)
    assert camera.view.speed == [0.5, 0.5, 0.0]
    page.eventually(lambda: camera.requests.count("ContinuousMove") >= 3, "it is renewed")
    page.page.mouse.up()
    page.eventually(lambda: not camera.moving and camera.stops.is_set())


def test_it_is_moved_by_keys(page: Visit, camera: OnvifCamera) -> None:
    page.page.get_by_label("Speed").fill("1")
    home = page.page.get_by_role("button", name="Home position", exact=True)
    home.focus()
    page.page.keyboard.down("ArrowLeft")
    page.eventually(lambda: camera.moving)
    assert camera.view.speed == [-1.0, 0.0, 0.0]
    page.page.keyboard.up("ArrowLeft")
    page.eventually(lambda: not camera.moving and camera.stops.is_set())
    camera.stops.clear()
    page.page.get_by_role("button", name="Zoom the camera in").press("Enter")
    page.eventually(camera.stops.is_set)
    assert camera.view.position[2] > 0
    home.click()
    page.eventually(lambda: camera.requests[-1] in ("GotoHomePosition", "GetPresets", "GetStatus"))


def test_a_tab_that_is_hidden_stops_the_camera(page: Visit, camera: OnvifCamera) -> None:
    page.page.get_by_role("button", name="Left", exact=True).hover()
    page.page.mouse.down()
    page.eventually(lambda: camera.moving)
    page.hide()
    page.eventually(lambda: not camera.moving and camera.stops.is_set())


def test_presets_are_visited_saved_and_removed(page: Visit, camera: OnvifCamera) -> None:
    page.page.get_by_role("button", name="Gate", exact=True).click()
    page.eventually(lambda: camera.view.position[0] == 0.5)
    page.page.get_by_role("button", name="Save this position").click()
    page.page.get_by_role("dialog").get_by_label("Name").fill("Corner")
    page.page.get_by_role("dialog").get_by_role("button", name="Save").click()
    page.page.get_by_role("button", name="Corner", exact=True).wait_for()
    page.page.get_by_role("button", name="Remove the preset Gate").click()
    page.page.get_by_role("dialog").get_by_role("button", name="Remove", exact=True).click()
    page.eventually(lambda: [name for name, _ in camera.presets.values()] == ["Corner"])
    page.page.get_by_role("button", name="Make this the home position").click()
    page.page.get_by_role("dialog").get_by_role("button", name="Make this the home position").click()
    page.eventually(lambda: camera.home[0] == 0.5)


def test_who_operates_moves_and_who_views_sees_no_buttons(browser: Browser, console: ConsoleServer) -> None:
    for visit in visited(browser, console, "operate"):
        visit.page.locator(".pad").wait_for()
        assert visit.page.get_by_role("button", name="Save this position").count() == 0
    for role, camera in (("view", "gate"), ("admin", "yard")):
        for visit in visited(browser, console, role, camera):
            assert visit.page.locator(".pad").count() == 0


def test_a_camera_that_does_not_answer_is_reported(
    browser: Browser, console: ConsoleServer, camera: OnvifCamera
) -> None:
    camera.password = "another"
    for visit in visited(browser, console):
        visit.page.get_by_text("the camera rejected user and password").first.wait_for()
        visit.expect_errors("409")
