"""The three floors: imports go down only, `daemon` → `plugins` → `engines`."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from sightd.plugins.api import ENTRY_POINT_GROUP

pytestmark = pytest.mark.computing

ROOT = Path(__file__).resolve().parents[1]
FLOORS = ("engines", "plugins", "daemon")


@cache
def imported_names(path: Path) -> frozenset[str]:
    """Returns the full names of all that a file imports, anywhere in it."""
    names: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text())]
    while waiting:  # statements only, which takes a tenth of the time of `ast.walk`
        node = waiting.pop()
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        for block in ("body", "orelse", "handlers", "finalbody", "cases"):
            found = getattr(node, block, [])
            waiting += found if isinstance(found, list) else []
    return frozenset(names)


def imported(path: Path) -> set[str]:
    """Returns the packages that a file imports, anywhere in it: top-level names, for our own the floor ("daemon")."""
    return {name.removeprefix("sightd.").split(".")[0] for name in imported_names(path)}


def imported_packages(path: Path) -> set[str]:
    """Returns the packages (folders relative to the root) of our own that a file imports from, anywhere in it, without
    the one that it lies in."""
    packages = {_package(name.removeprefix("sightd.")) for name in imported_names(path) if name.startswith("sightd.")}
    return packages - {str(path.parent.relative_to(ROOT))}


@cache
def _package(name: str) -> str:
    """Returns the folder of the module that `name` is, or is defined in."""
    parts = name.split(".")
    while not ROOT.joinpath(*parts).is_dir():
        parts.pop()
    return "/".join(parts)


def test_no_packages_import_each_other_in_a_circle() -> None:
    imports: dict[str, set[str]] = {}
    for floor in FLOORS:
        for path in (ROOT / floor).rglob("*.py"):
            imports.setdefault(str(path.parent.relative_to(ROOT)), set()).update(imported_packages(path))
    bottom_up = list(TopologicalSorter(imports).static_order())  # CycleError names a circle
    assert set(bottom_up) == set(imports)
    assert bottom_up.index("daemon/config") < bottom_up.index("daemon/capture") < bottom_up.index("daemon/app")


@pytest.mark.parametrize("floor", FLOORS)
def test_no_import_goes_up(floor: str) -> None:
    above = set(FLOORS[FLOORS.index(floor) + 1 :]) | {"tests", "bench"}
    files = sorted((ROOT / floor).rglob("*.py"))
    assert files
    wrong = {str(path.relative_to(ROOT)): found for path in files if (found := imported(path) & above)}
    assert not wrong


def test_the_daemon_imports_no_plug_in() -> None:
    """It finds them by entry point, and knows only the contract: what ships with sightd can be replaced or left out."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"][ENTRY_POINT_GROUP]
    plugins = {"/".join(value.split(":")[0].split(".")[1:3]) for value in declared.values()}
    assert plugins > {"plugins/detector", "plugins/tracker"}
    wrong = {
        str(path.relative_to(ROOT)): sorted(found)
        for path in (ROOT / "daemon").rglob("*.py")
        if (found := {name for name in imported_packages(path) if "/".join(name.split("/")[:2]) in plugins})
    }
    assert not wrong


def test_every_floor_is_imported_below_sightd() -> None:
    """Other distributions have a package `daemon`, too, and a module imported under two names would exist twice."""
    statement = re.compile(rf"^\s*(from|import) ({'|'.join(FLOORS)})\b(?=[. ])", re.MULTILINE)
    files = [path for folder in (*FLOORS, "tests", "bench") for path in sorted((ROOT / folder).rglob("*.py"))]
    assert not {str(path.relative_to(ROOT)) for path in files if statement.search(path.read_text())}


def test_only_the_daemon_knows_streams_and_the_web() -> None:
    outside = {"fastapi", "uvicorn", "gi", "av", "prometheus_client", "structlog"}
    below = [path for floor in ("engines", "plugins") for path in (ROOT / floor).rglob("*.py")]
    assert not {str(path) for path in below if imported(path) & outside}
