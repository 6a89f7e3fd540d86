"""The conformance kit checks what a plug-in's service offers: its routes, and how they answer."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel

from sightd.plugins.api import (
    AnyPlugin,
    Frame,
    Mode,
    Plugin,
    PluginConfig,
    PluginService,
    RefusedError,
    Results,
    Route,
    ServiceContext,
    Storage,
)
from sightd.plugins.testing import check_plugin
from tests.support import packages

DECLARES = "declares its routes"
OPENS = "has a service that can be opened and closed"
ANSWERS = "answers requests for its routes"


class Shelf(PluginService):
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def storage(self) -> Storage:
        return Storage(self.folder / "shelf", None, "shelf", "shelves", "nothing can be stored")


def show(shelf: Shelf) -> dict[str, list[str]]:
    return {"books": sorted(path.name for path in shelf.folder.iterdir())}


def book(shelf: Shelf, number: int) -> dict[str, int]:
    raise RefusedError(f"there is no book {number}")


def burn(shelf: Shelf) -> None:
    raise AssertionError("the kit changes nothing")


ROUTES = (
    Route("GET", "/shelf", "view", "All books", show),
    Route("GET", "/shelf/{number}", "view", "A book", book),
    Route("DELETE", "/shelf", "admin", "Remove all books", burn, status=204),
)


class Library(Plugin[PluginConfig]):
    """Keeps books."""

    routes: ClassVar[Sequence[Route]] = ROUTES

    @classmethod
    def open_service(cls, config: PluginConfig, context: ServiceContext, mode: Mode) -> PluginService | None:
        assert mode is Mode.SERVE
        return Shelf(Path(context.environ["SIGHTD_STATE_DIR"]))

    def process(self, frames: Sequence[Frame], results: Sequence[Results]) -> list[Results]:
        return [Results() for _ in frames]


def library(*routes: Any) -> type[AnyPlugin]:
    """Returns a plug-in with these routes, registered as `Library` is."""
    return type("Library", (Library,), {"__doc__": "Keeps books.", "routes": routes, "__module__": __name__})


Register = Callable[[type[AnyPlugin]], dict[str, str]]


@pytest.fixture
def faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Register:
    """Returns the rules that a plug-in breaks; the paths /shelf and /broken are registered for it, /taken for
    another one."""
    value = f"{__name__}:Library"
    packages.package(tmp_path, "library", {"sightd.routes": {"shelf": value, "broken": value, "taken": "other:Other"}})
    monkeypatch.syspath_prepend(tmp_path)

    def check(plugin: type[AnyPlugin]) -> dict[str, str]:
        monkeypatch.setattr(sys.modules[__name__], "Library", plugin)
        return {one.name: one.detail for one in check_plugin(plugin).failed}

    return check


def test_a_service_whose_routes_answer_passes(faults: Register) -> None:
    assert faults(Library) == {}


def without_annotation(shelf: Shelf, number) -> None:  # type: ignore[no-untyped-def]
    raise AssertionError("is not called")


class Reserved(BaseModel):
    plugin: str = ""


def reserved(shelf: Shelf, query: Reserved) -> None:
    raise AssertionError("is not called")


@pytest.mark.parametrize(
    ("route", "message"),
    [
        (Route("GET", "/shelf/{number}", "view", "A book", without_annotation), "needs annotations for number"),
        (Route("GET", "/shelf", "view", "Books", reserved), "query must be a pydantic model without the fields plugin"),
        (Route("GET", "/shelf/", "view", "Books", show), "GET /shelf/: write the path as /name or /name/{value}"),
        (Route("GET", "shelf", "view", "Books", show), "GET shelf: write the path as"),
        (Route("GET", "/{number}", "view", "A book", book), "the first part of the path must be a fixed name"),
        (Route("LOOK", "/shelf", "view", "Books", show), "method must be one of DELETE, GET"),  # type: ignore[arg-type]
        (Route("GET", "/shelf", "reader", "Books", show), "role must be one of admin, operate, view"),  # type: ignore[arg-type]
        (Route("GET", "/shelf", "view", " ", show), "GET /shelf: summary is empty"),
        (
            Route("GET", "/books", "view", "Books", show),
            f'/books: this path is not registered: add books = "{__name__}:',
        ),
        (Route("GET", "/taken", "view", "Books", show), "/taken: this path is registered for other:Other"),
        ("GET /shelf", "routes contains str, expected Route"),
    ],
)
def test_a_route_declared_wrongly_is_a_fault(faults: Register, route: Any, message: str) -> None:
    assert message in faults(library(route))[DECLARES]


def test_a_path_is_declared_once_per_method_whatever_its_parts_are_called(faults: Register) -> None:
    def by_name(shelf: Shelf, name: str) -> None: ...

    twice = library(*ROUTES, Route("GET", "/shelf/{name}", "view", "A book by name", by_name))
    assert faults(twice) == {DECLARES: "GET /shelf/{name}: another route has the same method and path"}


def crash(shelf: Shelf) -> None:
    raise KeyError("shelf")


def unwritable(shelf: Shelf) -> dict[str, object]:
    return {"shelf": object()}


def content(shelf: Shelf) -> str:
    return "books"


@pytest.mark.parametrize(
    ("route", "message"),
    [
        (Route("GET", "/broken", "view", "Crash", crash), "GET /broken: the handler raised KeyError: 'shelf'"),
        (Route("GET", "/broken", "view", "Not JSON", unwritable), "GET /broken: the answer cannot be written as JSON"),
        (Route("GET", "/broken", "view", "Too much", content, status=204), "but status 204 has no content"),
    ],
)
def test_a_route_that_would_be_answered_with_status_500_is_a_fault(
    faults: Register, route: Route, message: str
) -> None:
    found = faults(library(*ROUTES, route))
    assert found.keys() == {ANSWERS}
    assert message in found[ANSWERS]


def test_routes_need_a_service(faults: Register) -> None:
    class Closed(Library):
        """Keeps books to itself."""

        @classmethod
        def open_service(cls, config: PluginConfig, context: ServiceContext, mode: Mode) -> None:
            return None

    assert faults(Closed) == {ANSWERS: "declares routes, but open_service returned None"}


def test_a_service_that_cannot_be_closed_twice_is_a_fault(faults: Register) -> None:
    class Once(Shelf):
        def close(self) -> None:
            self.folder.rename(self.folder.with_name("closed"))
            self.folder = Path("closed already")

    class Careless(Library):
        """Keeps books in a shelf that breaks."""

        @classmethod
        def open_service(cls, config: PluginConfig, context: ServiceContext, mode: Mode) -> PluginService | None:
            return Once(Path(context.environ["SIGHTD_STATE_DIR"]))

    assert "FileNotFoundError" in faults(Careless)[OPENS]
