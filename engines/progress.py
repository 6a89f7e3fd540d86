"""Progress callbacks of long-running work."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called several times a second from the working thread. If it raises an exception, the work stops and the
    exception propagates.

    `task` names the work for display. `done` and `total` are bytes unless stated otherwise; `total` is None if it is
    not known.
    """

    def __call__(self, task: str, done: int, total: int | None) -> None: ...


def silent(task: str, done: int, total: int | None) -> None:
    """Ignores all progress."""
