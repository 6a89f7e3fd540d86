"""Waiting for what has no event of its own: polls until it holds or a deadline passes."""

from __future__ import annotations

import time
from collections.abc import Callable

BUSY = 3.0
"""Factor for limits, since other tests run beside this one: what never comes still fails, only later.
A test of a promise in seconds measures them itself."""


def eventually(condition: Callable[[], bool], within: float = 10.0, what: str = "", *, every: float = 0.02) -> None:
    """Returns as soon as `condition`, polled `every` so many seconds, holds.

    Raises AssertionError if it does not within `within` seconds, on a busy machine within BUSY times as many.
    """
    deadline = time.monotonic() + BUSY * within
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {BUSY * within:g} s: {what or condition}")
        time.sleep(every)
