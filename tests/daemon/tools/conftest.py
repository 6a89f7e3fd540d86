"""Marks these tests as `computing`: they need CPU but measure no time, so they run at the lowest priority."""

from __future__ import annotations

import pytest


def pytest_itemcollected(item: pytest.Item) -> None:
    item.add_marker(pytest.mark.computing)
