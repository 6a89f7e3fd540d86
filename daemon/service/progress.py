"""Extends systemd's start timeout while downloads and engine builds make progress."""

from __future__ import annotations

import time
from collections.abc import Callable

from sightd.daemon.service.notify import Notifier
from sightd.engines.progress import Progress

_EVERY = 5.0
"""Seconds between two notifications."""
_MORE = 300.0
"""Seconds requested each time: a download or an engine build may be silent for this long."""


def extending(notifier: Notifier, progress: Progress, renew: Callable[[], None]) -> Progress:
    """Wraps `progress` to also extend systemd's timeout and call `renew`, which may raise to abort the work."""
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
