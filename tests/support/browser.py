"""Debian's Chromium, driven by Playwright. A page that logs an error or violates its Content-Security-Policy fails the
test that opened it.

Playwright keeps an event loop in its thread: while a `Browser` is open, this thread cannot run another one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import ConsoleMessage, Error, Page, sync_playwright

from tests.support.debian import program
from tests.support.waiting import eventually

Theme = Literal["light", "dark"]
THEMES: tuple[Theme, ...] = ("light", "dark")
SCREENSHOTS = "SIGHTD_SCREENSHOTS"
"""Environment variable: a folder into which `Visit.picture` writes, to be looked at."""
_DESKTOP, _PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
_ARGUMENTS = ("--disable-gpu", "--no-sandbox", "--autoplay-policy=no-user-gesture-required")
_REPORT_VIOLATIONS = """addEventListener("securitypolicyviolation",
    (event) => console.error(`Content-Security-Policy: ${event.violatedDirective} ${event.blockedURI}`))"""
LIVE_PAGE = Path(__file__).with_name("live_page.js")
"""What a page does to show live video; for `chromium_page`."""
_SERIOUS = frozenset({"serious", "critical"})


class Visit:
    """A visit to the console, without cookies and storage of others. `page` is Playwright's."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        """What the page has logged as errors, and exceptions that it did not catch."""
        page.on("console", self._logged)
        page.on("pageerror", self._raised)

    def leave(self) -> None:
        """Listens no more."""
        self.page.remove_listener("console", self._logged)
        self.page.remove_listener("pageerror", self._raised)

    def expect_errors(self, *parts: str) -> None:
        """Forgets the errors that contain one of `parts`, such as "401"."""
        self.errors = [one for one in self.errors if not any(part in one for part in parts)]

    def eventually(self, condition: Callable[[], bool], what: str = "") -> None:
        """Waits like `tests.support.waiting.eventually`, and lets Playwright work meanwhile."""

        def met() -> bool:
            self.page.wait_for_timeout(30)
            return condition()

        eventually(met, what=what, every=0)

    def require_accessible(self) -> None:
        """Raises AssertionError with axe's serious and critical findings in both themes."""
        self.page.evaluate(_axe())
        for theme in THEMES:
            self.page.emulate_media(color_scheme=theme)
            found = self.page.evaluate("axe.run({resultTypes: ['violations']})")
            serious = [_finding(one) for one in found["violations"] if one["impact"] in _SERIOUS]
            assert not serious, f"{theme}: {serious}"

    def hide(self) -> None:
        """Tells the page that its tab is hidden. A headless browser has no window that it could minimize."""
        self._set_visibility("hidden")

    def show(self) -> None:
        self._set_visibility("visible")

    def picture(self, name: str) -> None:
        """Writes NAME.png into the folder that SIGHTD_SCREENSHOTS names, if any."""
        if folder := os.environ.get(SCREENSHOTS):
            self.page.screenshot(path=Path(folder) / f"{name}.png", animations="disabled")

    def _set_visibility(self, state: str) -> None:
        self.page.evaluate(
            """(state) => {
                Object.defineProperty(document, "visibilityState", {value: state, configurable: true});
                document.dispatchEvent(new Event("visibilitychange"));
            }""",
            state,
        )

    def _raised(self, error: Error) -> None:
        self.errors.append(str(error))

    def _logged(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} {message.location.get('url', '')}")


class Browser:
    """A headless browser; `browser()` starts it. A page serves one visit after the other, because to start one takes a
    second of CPU time; nothing of a visit is left for the next."""

    def __init__(self, chromium: Any) -> None:
        self._chromium = chromium
        self._pages: dict[tuple[str, bool], Page] = {}

    @contextmanager
    def visit(
        self,
        url: str,
        *,
        theme: Theme = "light",
        language: str = "en",
        phone: bool = False,
        headers: Mapping[str, str] | None = None,
        without: Sequence[str] = (),
        fresh: bool = False,
    ) -> Iterator[Visit]:
        """Opens an address, and leaves it at the end. `without` names interfaces that the browser lacks, such as
        RTCPeerConnection; `fresh`: without a cache either. Raises AssertionError if the page has logged an error."""
        with self._page(language, phone, without, fresh=fresh or bool(without)) as page:
            page.set_extra_http_headers(dict(headers or {}))
            page.emulate_media(color_scheme=theme)
            visit = Visit(page)
            page.goto(url)
            yield visit
            page.evaluate("localStorage.clear()")
            visit.leave()
        assert not visit.errors, visit.errors

    @contextmanager
    def _page(self, language: str, phone: bool, without: Sequence[str], *, fresh: bool) -> Iterator[Page]:
        page = None if fresh else self._pages.pop((language, phone), None)
        page = page or self._new_page(language, phone, without)
        try:
            yield page
            page.goto("about:blank")
            page.context.clear_cookies()
        except BaseException:
            page.context.close()
            raise
        if fresh:
            page.context.close()
        else:
            self._pages[language, phone] = page

    def _new_page(self, language: str, phone: bool, without: Sequence[str]) -> Page:
        viewport = _PHONE if phone else _DESKTOP
        context = self._chromium.new_context(viewport=viewport, locale=language, has_touch=phone)
        context.add_init_script("".join([_REPORT_VIOLATIONS, *(f";delete globalThis.{name}" for name in without)]))
        context.set_default_timeout(30_000)
        page: Page = context.new_page()
        return page


@contextmanager
def browser() -> Iterator[Browser]:
    """Starts Chromium. Skips the test if it is not available."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program("chromium", "chromium"), args=_ARGUMENTS)
        try:
            yield Browser(chromium)
        finally:
            chromium.close()


@contextmanager
def chromium_page(url: str) -> Iterator[Page]:
    """Starts Chromium with a page to which no Content-Security-Policy applies, for scripts that no page of ours has."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program("chromium", "chromium"), args=_ARGUMENTS)
        try:
            page = chromium.new_context(bypass_csp=True).new_page()
            page.goto(url)
            yield page
        finally:
            chromium.close()


def _axe() -> str:
    """axe-core (Mozilla Public License 2.0), from a package that only tests use."""
    return resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")


def _finding(one: Mapping[str, Any]) -> str:
    return f"{one['id']}: {[(node['html'], node.get('failureSummary')) for node in one['nodes']]}"
