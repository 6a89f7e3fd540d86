"""Waits for conditions that have no event: polls until they hold or a deadline passes."""

from __future__ import annotations

import time
from collections.abc import Callable

BUSY = 3.0
"""Factor for time limits, because other tests run at the same time. What never happens still fails, only later. Tests
of a promised time must measure it themselves."""


def eventually(condition: Callable[[], bool], within: float = 10.0, what: str = "", *, every: float = 0.02) -> None:
    """Returns as soon as `condition` holds; it is polled every `every` seconds.

    Raises AssertionError if it does not hold within BUSY times `within` seconds; BUSY allows for a busy machine.
    """
    deadline = time.monotonic() + BUSY * within
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {BUSY * within:g} s: {what or condition}")
        time.sleep(every)
