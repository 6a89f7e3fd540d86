"""An observer of everything that is recorded."""

from __future__ import annotations


class Counts:
    """Counts the calls, or keeps what they passed."""

    def __init__(self) -> None:
        self.missing = self.clips = self.failures = self.size = self.buffer = 0
        self.reasons: list[str] = []

    def buffered(self, size: int) -> None:
        self.buffer = size

    def lost(self, packets: int) -> None:
        self.missing += packets

    def written(self, size: int) -> None:
        self.clips += 1

    def failed(self) -> None:
        self.failures += 1

    def deleted(self, reason: str) -> None:
        self.reasons.append(reason)

    def stored(self, size: int) -> None:
        self.size = size

    def noted(self, kind: str) -> None: ...

    def waiting(self, count: int) -> None: ...

    def writable(self, able: bool) -> None: ...
