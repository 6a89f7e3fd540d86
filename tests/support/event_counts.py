"""Counts events, for tests of the journal."""

from __future__ import annotations

from collections import Counter


class EventCounts:
    """A `daemon.events.journal.JournalObserver` that records its calls."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.lost_ones = self.waiting_ones = 0
        self.able: bool | None = None

    def noted(self, kind: str) -> None:
        self.kinds[kind] += 1

    def lost(self, count: int) -> None:
        self.lost_ones += count

    def waiting(self, count: int) -> None:
        self.waiting_ones = count

    def writable(self, able: bool) -> None:
        self.able = able
