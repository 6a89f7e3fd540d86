"""These tests wait for events, however long they take: they run beside those that look at the clock."""

from __future__ import annotations

import pytest


def pytest_itemcollected(item: pytest.Item) -> None:
    item.add_marker(pytest.mark.waiting)
