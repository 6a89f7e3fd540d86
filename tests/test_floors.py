"""The three floors: imports go down only, `daemon` → `plugins` → `engines`."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = ("engines", "plugins", "daemon")


def imported(path: Path) -> set[str]:
    """The top-level packages that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("floor", FLOORS)
def test_no_import_goes_up(floor: str) -> None:
    above = set(FLOORS[FLOORS.index(floor) + 1 :]) | {"tests", "bench"}
    files = sorted((ROOT / floor).rglob("*.py"))
    assert files
    wrong = {str(path.relative_to(ROOT)): found for path in files if (found := imported(path) & above)}
    assert not wrong


def test_only_the_daemon_knows_streams_and_the_web() -> None:
    outside = {"fastapi", "uvicorn", "gi", "av", "prometheus_client", "structlog"}
    below = [path for floor in ("engines", "plugins") for path in (ROOT / floor).rglob("*.py")]
    assert not {str(path) for path in below if imported(path) & outside}
