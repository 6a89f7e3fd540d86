"""The time series of one camera or plug-in, so that all can be removed together."""

from __future__ import annotations

import threading
from typing import TypeVar

from prometheus_client import Counter, Gauge, Histogram

Family = TypeVar("Family", Counter, Gauge, Histogram)


class Series:
    """Binds labels to families and remembers them. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bound: dict[tuple[Counter | Gauge | Histogram, tuple[str, ...]], None] = {}
        self._removed = False

    def bind(self, family: Family, *values: str) -> Family:
        """Returns the child for these label values, in the order in which the family declares its labels.

        After `remove` the child still counts but is not exported: a late caller cannot restore a series.
        """
        with self._lock:
            child = family.labels(*values)
            if self._removed:
                family.remove(*values)
            else:
                self._bound[family, values] = None
            return child

    def unbind(self, family: Family, *values: str) -> None:
        """Removes one series."""
        with self._lock:
            if self._bound.pop((family, values), False) is None:
                family.remove(*values)

    def remove(self) -> None:
        """Removes all series. Idempotent."""
        with self._lock:
            self._removed = True
            for family, values in self._bound:
                family.remove(*values)
            self._bound.clear()
