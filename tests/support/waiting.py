"""Waiting for what has no event of its own: polls until it holds or a deadline passes."""

from __future__ import annotations

import time
from collections.abc import Callable


def eventually(condition: Callable[[], bool], within: float = 10.0, what: str = "", *, every: float = 0.02) -> None:
    """Returns as soon as `condition`, asked `every` so many seconds, holds; AssertionError after `within` seconds."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:g} s: {what or condition}")
        time.sleep(every)
