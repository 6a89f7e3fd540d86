"""Marks that tests get automatically from what they use; see conftest.py and side_by_side.py."""

from __future__ import annotations

from types import ModuleType

import pytest

from tests.conftest import may_fetch
from tests.support import media, networks, pictures


def importing(**names: object) -> ModuleType:
    module = ModuleType("tests.test_made_here")
    vars(module).update(names)
    return module


@pytest.mark.parametrize("names", [{"stored": networks.stored}, {"media": media}, {"street": pictures.street}])
def test_a_module_that_uses_a_helper_that_fetches_is_marked(names: dict[str, object]) -> None:
    assert may_fetch(importing(**names))


def test_a_module_that_makes_its_networks_itself_is_not() -> None:
    assert not may_fetch(importing(write_double=networks.write_double, pytest=pytest))


def test_the_mark_reaches_the_tests(request: pytest.FixtureRequest) -> None:
    assert request.node.get_closest_marker("network"), "this module imports tests.support.media"
