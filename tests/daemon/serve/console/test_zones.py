"""Zones, lines and masks, drawn on a camera's picture: by mouse and keyboard, with what is counted in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from sightd.daemon.config.model import Access as AccessOptions
from sightd.daemon.serve.auth import Access
from sightd.daemon.serve.http.routes_plugins import PluginRoutes
from sightd.plugins.api import Detections, Results
from sightd.plugins.zones.config import ZonesConfig
from sightd.plugins.zones.result import LineCount, ZoneCount, ZoneCounts
from sightd.plugins.zones.routes import ROUTES
from sightd.plugins.zones.service import ZoneService
from sightd.plugins.zones.state import Direction
from sightd.plugins.zones.store import ZoneStore
from tests.support.access import NO_TOKENS
from tests.support.administration import Site
from tests.support.browser import Browser, Visit
from tests.support.console import ConsoleServer

SITE = """\
chain: [detector, tracker]
plugins:
  detector: {ignore: [[[0.8, 0], [1, 0], [1, 0.2]]]}
  zones:
    cameras:
      gate: {zones: {pond: {corners: [[0.1, 0.1], [0.3, 0.1], [0.3, 0.3]]}}}
cameras:
  gate: {source: "testpattern://", chain: [detector, tracker, zones]}
  yard: {source: "testpattern://"}
  door: {source: "testpattern://"}
"""
TOKENS = {role: f"a-token-of-the-role-{role}-of-tests" for role in ("view", "admin")}


class Zones:
    """A server with the plug-in zones: its configuration is `SITE`. A context manager."""

    def __init__(self, folder: Path, access: Access = NO_TOKENS) -> None:
        folder.mkdir(exist_ok=True)
        self.site = Site(folder, SITE)
        config = self.site.reloading.loaded.plugin_configs["zones"]
        assert isinstance(config, ZonesConfig)
        self.service = ZoneService(config, ZoneStore(folder / "zones.json"))
        self.server = ConsoleServer(folder, access=access, administration=self.site.administration)
        PluginRoutes(self.server.app, lambda _kind, _plugin: self.service, access).add("zones", ROUTES)

    def stored(self, kind: str, camera: str = "gate") -> Mapping[str, Any]:
        """Returns the zones or lines that came through the API."""
        return {name: one for name, one in self.service.of_camera(camera)[kind].items() if one["source"] == "api"}

    def __enter__(self) -> Zones:
        self.server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.close()


@pytest.fixture
def zones(tmp_path: Path) -> Iterator[Zones]:
    with Zones(tmp_path / "site") as running:
        yield running


class Editor:
    """The page of a camera's zones in a browser."""

    def __init__(self, visit: Visit) -> None:
        self.visit, self.page = visit, visit.page
        self.stage = visit.page.locator(".zone-stage")
        self.stage.wait_for()

    def at(self, x: float, y: float) -> tuple[float, float]:
        box = self.stage.bounding_box()
        assert box is not None
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    def click(self, *points: tuple[float, float]) -> None:
        for point in points:
            self.page.mouse.click(*self.at(*point))

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        self.page.mouse.move(*self.at(*start))
        self.page.mouse.down()
        self.page.mouse.move(*self.at(*end), steps=3)
        self.page.mouse.up()

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def save(self) -> None:
        """Saves, and waits until all is stored."""
        self.press("Save")
        self.page.locator(".page-head .primary:disabled:not([aria-busy])").wait_for()

    def corner(self, number: int) -> Any:
        return self.page.locator(f"[data-corner='{number - 1}']")


def near(found: Any, *expected: tuple[float, float]) -> bool:
    return bool(np.allclose(np.array(found), np.array(expected), atol=0.01))


PERSON = Detections(
    np.array([[300, 100, 400, 300]], np.float32), np.array([0.9], np.float32), np.array([0]), ("person",)
)
"""In a frame of 640 x 360."""


def test_a_zone_and_a_line_are_drawn_stored_and_counted(browser: Browser, zones: Zones) -> None:
    with browser.visit(zones.server.url("/#/zones/gate")) as visit:
        editor = Editor(visit)
        editor.press("Zone")
        editor.click((0.4, 0.4), (0.8, 0.4), (0.8, 0.95), (0.4, 0.95), (0.4, 0.4))
        visit.page.get_by_label("Name").fill("lawn")
        visit.page.get_by_label("Classes").fill("person, dog")
        visit.page.get_by_label("Loitering after").fill("30s")
        visit.page.get_by_label("Crowd from").fill("3")
        editor.press("Line")
        editor.drag((0.1, 0.7), (0.35, 0.7))

        def stands_inside() -> bool:
            zones.server.analysed("gate", Results(PERSON))
            return "lawn\n1 inside\nNot saved" in visit.page.locator(".shape-list").inner_text()

        visit.eventually(stands_inside)
        assert not zones.stored("zones"), "nothing is stored before it is saved"
        editor.save()
        (lawn,) = zones.stored("zones").values()
        assert near(lawn.pop("corners"), (0.4, 0.4), (0.8, 0.4), (0.8, 0.95), (0.4, 0.95))
        assert lawn == {"classes": ["person", "dog"], "loiter_after": "30s", "crowd": 3, "source": "api"}
        assert near(zones.stored("lines")["line 1"]["points"], (0.1, 0.7), (0.35, 0.7))

        counts = ZoneCounts(
            (ZoneCount("lawn", (), True, False, 5, 3, {}, {}, (), 1.0),),
            (LineCount("line 1", (), True, False, {Direction.IN: 4, Direction.OUT: 1}, {}),),
        )

        def counted() -> bool:
            zones.server.analysed("gate", Results(PERSON, counts))
            shown = visit.page.locator(".shape-list").inner_text()
            return "2 inside" in shown and "4 in, 1 out" in shown

        visit.eventually(counted)
        visit.page.get_by_role("button", name="lawn", exact=False).first.click()
        visit.picture("zones")
        visit.require_accessible()
        visit.picture("zones-dark")


def test_a_shape_is_moved_reshaped_taken_back_and_removed(browser: Browser, zones: Zones) -> None:
    corners = [(0.4, 0.4), (0.6, 0.4), (0.6, 0.6), (0.4, 0.6)]
    body = {"corners": corners, "active": "mon-fri 08:00-18:00", "removed_after": "20s"}
    with browser.visit(zones.server.url("/")) as visit:
        httpx.put(zones.server.url("/api/v1/zones/gate/lawn"), json=body, headers={"X-Sightd": "1"}).raise_for_status()
        visit.page.goto(zones.server.url("/#/zones/gate"))
        editor = Editor(visit)
        editor.drag((0.45, 0.55), (0.55, 0.65))
        editor.drag((0.7, 0.7), (0.9, 0.9))
        editor.drag((0.6, 0.5), (0.6, 0.3))
        editor.corner(1).press("Shift+ArrowLeft")
        editor.corner(1).press("ArrowDown")
        editor.corner(5).press("Delete")
        editor.save()
        stored = zones.stored("zones")["lawn"]
        assert near(stored["corners"], (0.45, 0.505), (0.6, 0.3), (0.7, 0.5), (0.9, 0.9))
        assert (stored["active"], stored["removed_after"]) == (body["active"], body["removed_after"])

        for _ in range(5):  # Delete, the arrow keys of one corner, and three drags
            editor.press("Undo")
        assert visit.page.get_by_role("button", name="Undo").is_disabled()
        editor.save()
        assert near(zones.stored("zones")["lawn"]["corners"], *corners), "what was saved can be undone, too"
        visit.page.get_by_label("Name").fill("meadow")
        editor.save()
        assert set(zones.stored("zones")) == {"meadow"}
        editor.press("Remove")
        editor.save()
        assert not zones.stored("zones")


def test_a_keyboard_draws(browser: Browser, zones: Zones) -> None:
    with browser.visit(zones.server.url("/#/zones/gate")) as visit:
        editor = Editor(visit)
        visit.page.get_by_role("button", name="Zone", exact=True).press("Enter")
        visit.eventually(lambda: bool(editor.stage.evaluate("one => one === document.activeElement")))
        for key in ("Space", "Shift+ArrowRight", "Space", "Shift+ArrowDown", "Space", "ArrowUp", "Space", "Backspace"):
            visit.page.keyboard.press(key)
        visit.page.keyboard.press("Enter")
        visit.page.get_by_label("Name").press("Enter")
        visit.page.get_by_text("Saved. It applies").wait_for()
        assert near(zones.stored("zones")["zone 1"]["corners"], (0.5, 0.5), (0.6, 0.5), (0.6, 0.6))


def test_what_the_server_refuses_is_shown_at_the_field(browser: Browser, zones: Zones) -> None:
    with browser.visit(zones.server.url("/#/zones/gate")) as visit:
        editor = Editor(visit)
        editor.press("Line")
        editor.click((0.2, 0.5), (0.6, 0.5))
        schedule = visit.page.get_by_label("Schedule")
        schedule.fill("18:00")
        editor.press("Save")
        visit.page.locator(".field-error").get_by_text('"18:00" is no range of times').wait_for()
        assert schedule.get_attribute("aria-invalid") == "true"
        schedule.fill("")
        visit.page.get_by_label("Name").fill("Tür!")
        editor.press("Save")
        visit.page.locator(".field-error").get_by_text("String should match pattern").wait_for()
        visit.page.get_by_label("Name").fill("pond")
        editor.press("Save")
        visit.page.locator(".field-error").get_by_text("Another zone or line has this name.").wait_for()
        assert not zones.stored("lines")
        visit.expect_errors("422")
        visit.page.get_by_role("button", name="Discard changes").click()
        visit.page.get_by_role("button", name="pond", exact=False).last.click()
        visit.page.get_by_text("plugins.zones.cameras.gate.zones.pond").wait_for()
        assert visit.page.get_by_label("Name").is_disabled()
        assert not editor.corner(1).is_visible(), "what the configuration says is read-only"


def test_nobody_leaves_unsaved_changes_without_being_asked(browser: Browser, zones: Zones) -> None:
    with browser.visit(zones.server.url("/#/zones/gate")) as visit:
        editor = Editor(visit)
        editor.press("Line")
        editor.click((0.2, 0.5), (0.6, 0.5))
        visit.page.get_by_role("link", name="Live", exact=True).click()
        visit.page.get_by_text("Leave without saving?").wait_for()
        visit.picture("zones-leave")
        assert visit.page.url.endswith("#/zones/gate")
        editor.press("Cancel")
        visit.page.get_by_label("Language").select_option("de")
        visit.page.get_by_text("Nicht gespeichert").wait_for()
        visit.page.get_by_role("link", name="Live", exact=True).click()
        visit.page.get_by_role("dialog").get_by_role("button", name="Änderungen verwerfen").click()
        visit.page.get_by_role("heading", name="Live", exact=True).wait_for()
        assert not zones.stored("lines")


def test_an_area_that_the_detector_ignores_is_drawn(browser: Browser, zones: Zones) -> None:
    with browser.visit(zones.server.url("/#/zones/gate")) as visit:
        editor = Editor(visit)
        editor.press("Ignored area")
        editor.click((0.05, 0.5), (0.3, 0.5), (0.3, 0.9))
        editor.press("Finish")
        visit.page.get_by_text("thus to all its cameras: gate, yard, door").wait_for()
        visit.picture("zones-mask")
        editor.save()
        first, second = zones.site.reloading.loaded.plugin_configs["detector"].model_dump()["ignore"]
        assert near(first, (0.8, 0), (1, 0), (1, 0.2))
        assert near(second, (0.05, 0.5), (0.3, 0.5), (0.3, 0.9))


def test_an_administrator_switches_zones_on(browser: Browser, zones: Zones) -> None:
    with browser.visit(zones.server.url("/#/zones")) as visit:
        visit.page.get_by_role("link", name="Yard").click()
        visit.page.get_by_text("chain: [detector, tracker, zones]").wait_for()
        assert not visit.page.get_by_role("button", name="Zone", exact=True).is_visible()
        visit.picture("zones-off")
        visit.require_accessible()
        visit.page.get_by_role("button", name="Switch zones on").click()
        visit.page.get_by_role("button", name="Zone", exact=True).wait_for()
        assert zones.site.reloading.loaded.config.cameras["yard"].chain == ["detector", "tracker", "zones"]


@pytest.mark.slow
def test_a_finger_draws_on_a_phone(browser: Browser, zones: Zones) -> None:
    with browser.visit(zones.server.url("/#/zones/gate"), phone=True) as visit:
        editor = Editor(visit)
        visit.page.get_by_role("button", name="Zone", exact=True).tap()
        editor.stage.scroll_into_view_if_needed()
        for point in ((0.2, 0.5), (0.6, 0.5), (0.5, 0.9)):
            visit.page.touchscreen.tap(*editor.at(*point))
        visit.picture("zones-phone-drawing")
        visit.page.get_by_role("button", name="Finish").tap()
        editor.save()
        assert near(zones.stored("zones")["zone 1"]["corners"], (0.2, 0.5), (0.6, 0.5), (0.5, 0.9))
        visit.picture("zones-phone-drawn")
        visit.require_accessible()


@pytest.mark.slow
def test_viewers_see_zones_and_change_nothing(browser: Browser, tmp_path: Path) -> None:
    tokens = {role: {"role": role, "token": token} for role, token in TOKENS.items()}
    access = Access(AccessOptions.model_validate({"tokens": tokens}))
    headers = {"Authorization": f"Bearer {TOKENS['view']}"}
    with Zones(tmp_path / "guarded", access) as zones:
        zones.service.put("gate", "lawn", ZonesConfig.model_validate(
            {"cameras": {"gate": {"zones": {"lawn": {"corners": [[0.4, 0.4], [0.6, 0.4], [0.6, 0.6]]}}}}}
        ).cameras["gate"].zones["lawn"])  # fmt: skip
        with browser.visit(zones.server.url("/#/zones/gate"), headers=headers, phone=True) as visit:
            editor = Editor(visit)
            editor.page.locator(".shape-list").get_by_role("button", name="lawn").click()
            visit.picture("zones-phone")
            assert not visit.page.get_by_role("button", name="Save").is_visible()
            assert not editor.corner(1).is_visible()
