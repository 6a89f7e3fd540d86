"""How long-running work tells how far it is."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called from the thread that works, several times a second; an exception of its own stops the work and passes
    through.

    `task` names the piece of work for people; `done` and `total` are bytes where nothing else is said, `total` None
    where nobody knows it.
    """

    def __call__(self, task: str, done: int, total: int | None) -> None: ...


def silent(task: str, done: int, total: int | None) -> None:
    """The progress of somebody who does not look."""
