"""The series of one camera or plug-in, so that all of them can be taken out together."""

from __future__ import annotations

import threading
from typing import TypeVar

from prometheus_client import Counter, Gauge, Histogram

Family = TypeVar("Family", Counter, Gauge, Histogram)


class Series:
    """Binds labels to families and remembers what it bound. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bound: dict[tuple[Counter | Gauge | Histogram, tuple[str, ...]], None] = {}
        self._removed = False

    def bind(self, family: Family, *values: str) -> Family:
        """The child for these label values, in the order in which the family declares its labels.

        After `remove` the child still counts, but nobody sees it: a late caller cannot bring a series back.
        """
        with self._lock:
            child = family.labels(*values)
            if self._removed:
                family.remove(*values)
            else:
                self._bound[family, values] = None
            return child

    def unbind(self, family: Family, *values: str) -> None:
        """Takes one series out."""
        with self._lock:
            if self._bound.pop((family, values), False) is None:
                family.remove(*values)

    def remove(self) -> None:
        """Takes all of them out. Twice is safe."""
        with self._lock:
            self._removed = True
            for family, values in self._bound:
                family.remove(*values)
            self._bound.clear()
