"""Where each key and each value of a file stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from sightd.daemon.config.problems import PathKey


class Place(NamedTuple):
    """Line and column, both from 1."""

    line: int
    column: int


START = Place(1, 1)


@dataclass(frozen=True, slots=True)
class Positions:
    """Places by path. What came through an alias stands where its anchor is."""

    keys: dict[PathKey, Place] = field(default_factory=dict)
    values: dict[PathKey, Place] = field(default_factory=dict)

    def key(self, path: PathKey) -> Place:
        """Where the key is written, or the value in a list; the nearest thing around it where it is not there."""
        return self._nearest(path, self.keys, self.values)

    def value(self, path: PathKey) -> Place:
        """Where the value begins; the key of what is around it where it is not there."""
        if path in self.values:
            return self.values[path]
        return self.key(path)

    def _nearest(self, path: PathKey, *tables: dict[PathKey, Place]) -> Place:
        for length in range(len(path), -1, -1):
            for table in tables:
                if path[:length] in table:
                    return table[path[:length]]
        return START
