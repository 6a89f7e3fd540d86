"""One booted machine per release, shared by all tests; each test starts without the service installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.systemd.machine import Machine, booted, install, source_tree
from tests.systemd.roots import OLD, RootError, missing_tools, root_of
from tests.systemd.service import Service

RELEASES = ("bookworm", "trixie")
"""systemd 252 and 257."""


def pytest_itemcollected(item: pytest.Item) -> None:
    item.add_marker(pytest.mark.systemd)
    item.add_marker(pytest.mark.timeout(1800))  # the first test may have to create a root


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder of source trees: `new` is the checkout, `old` that commit if it is in the repository."""
    folder = tmp_path_factory.mktemp("sources")
    source_tree(folder / "new")
    source_tree(folder / "old", OLD)
    return folder


@pytest.fixture(scope="session", params=RELEASES)
def machine(request: pytest.FixtureRequest, sources: Path, model_cache: Path) -> Iterator[Machine]:
    if reason := missing_tools():
        pytest.skip(reason)
    with ExitStack() as parts:
        try:
            root = parts.enter_context(root_of(request.param))
        except RootError as error:
            pytest.skip(f"no root file system of Debian {request.param}: {error}")
        one = parts.enter_context(booted(request.param, root, [f"{sources}:/sources", f"{model_cache}:/cache"]))
        install(one, "new")
        yield one


@pytest.fixture(scope="session")
def model_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the checkout's cache of models and samples, or an empty folder."""
    import os

    from sightd.engines.files import cache_directory

    folder = cache_directory(os.environ)
    return folder if folder.is_dir() else tmp_path_factory.mktemp("no-cache")


@pytest.fixture
def service(machine: Machine) -> Iterator[Service]:
    """Yields the service, not installed; removes it afterwards."""
    one = Service(machine)
    one.clean()
    yield one
    one.clean()
