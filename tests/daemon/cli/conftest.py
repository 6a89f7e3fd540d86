"""Marks these tests as `waiting`: they depend on events, not on timing, and run next to tests that measure time."""

from __future__ import annotations

import pytest


def pytest_itemcollected(item: pytest.Item) -> None:
    item.add_marker(pytest.mark.waiting)
