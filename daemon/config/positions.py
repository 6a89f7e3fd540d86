"""Positions of the keys and values of a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from sightd.daemon.config.problems import PathKey


class Position(NamedTuple):
    """Line and column, both from 1."""

    line: int
    column: int


START = Position(1, 1)


@dataclass(frozen=True, slots=True)
class Positions:
    """Positions by path. What came through an alias has the position of its anchor."""

    keys: dict[PathKey, Position] = field(default_factory=dict)
    values: dict[PathKey, Position] = field(default_factory=dict)

    def key(self, path: PathKey) -> Position:
        """Returns the position of the key, or of the list's value; if it is not in the file, of the nearest thing
        around it."""
        return self._nearest(path, self.keys, self.values)

    def value(self, path: PathKey) -> Position:
        """Returns where the value begins; if it is not in the file, the position of the nearest key around it."""
        if path in self.values:
            return self.values[path]
        return self.key(path)

    def _nearest(self, path: PathKey, *tables: dict[PathKey, Position]) -> Position:
        for length in range(len(path), -1, -1):
            for table in tables:
                if path[:length] in table:
                    return table[path[:length]]
        return START
