"""These tests need the processor and do not look at the clock: they run in the lane with the least priority."""

from __future__ import annotations

import pytest


def pytest_itemcollected(item: pytest.Item) -> None:
    item.add_marker(pytest.mark.computing)
