"""Long work before the service is ready: systemd is told that it goes on."""

from __future__ import annotations

import time
from collections.abc import Callable

from sightd.daemon.service.notify import Notifier
from sightd.engines.progress import Progress

_EVERY = 5.0
"""Seconds between two messages."""
_MORE = 300.0
"""Seconds that are asked for each time: a download or an engine's build may be silent for so long."""


def extending(notifier: Notifier, progress: Progress, renew: Callable[[], None]) -> Progress:
    """The same progress, which also has systemd give more time and calls `renew`, which may raise to end the work."""
    told_at = float("-inf")

    def tell(task: str, done: int, total: int | None) -> None:
        nonlocal told_at
        renew()
        progress(task, done, total)
        now = time.monotonic()
        if now - told_at >= _EVERY:
            told_at = now
            notifier.needs(_MORE)
            notifier.status(task)

    return tell
