"""An observer of everything that is recorded."""

from __future__ import annotations


class Counts:
    """Counts the calls, or keeps what they passed."""

    def __init__(self) -> None:
        self.missing = self.failures = self.buffer = self.room = 0
        self.reasons: list[str] = []
        self.files: list[str] = []
        self.sizes: dict[str, int] = {}

    def buffered(self, size: int) -> None:
        self.buffer = size

    def lost(self, packets: int) -> None:
        self.missing += packets

    def written(self, kind: str, size: int) -> None:
        self.files.append(kind)

    def failed(self, kind: str) -> None:
        self.failures += 1

    def deleted(self, kind: str, reason: str) -> None:
        self.reasons.append(reason)

    def stored(self, kind: str, size: int) -> None:
        self.sizes[kind] = size

    def free(self, size: int) -> None:
        self.room = size

    def noted(self, kind: str) -> None: ...

    def waiting(self, count: int) -> None: ...

    def writable(self, able: bool) -> None: ...
