"""One browser for the folder, and a server with the console. Tests of a browser wait for what it shows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import browser as support
from tests.support.console import ConsoleServer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.waiting)


@pytest.fixture(scope="package")
def browser() -> Iterator[support.Browser]:
    with support.browser() as started:
        yield started


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleServer]:
    """Three cameras: "gate" is live, "yard" late and "door" offline. For tests that change nothing in it."""
    with ConsoleServer(tmp_path_factory.mktemp("console")) as running:
        yield running
